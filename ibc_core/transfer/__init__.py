"""ICS-20: fungible tokens between chains, version `ics20-1`."""

from ibc_core.transfer.application import Transfer

__all__ = ["Transfer"]
