"""ICS-23: existence and absence in a Merkle tree whose format a specification describes. Pure."""

from ibc_core.ics23.merkle import verify_membership, verify_non_membership
from ibc_core.ics23.specs import IAVL_SPEC, TENDERMINT_SPEC
from ibc_core.ics23.verify import existence_root, verify_existence, verify_non_existence

__all__ = [
    "IAVL_SPEC",
    "TENDERMINT_SPEC",
    "existence_root",
    "verify_existence",
    "verify_membership",
    "verify_non_existence",
    "verify_non_membership",
]
