"""ICS-20: fungible tokens between chains, version `ics20-1`."""

from ibc_core.transfer.application import Transfer
from ibc_core.transfer.v2 import TransferV2

__all__ = ["Transfer", "TransferV2"]
