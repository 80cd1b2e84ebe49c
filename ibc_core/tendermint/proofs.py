"""Proofs under a client's specifications and a root that it knows; refusals have ibc-go's code space `commitment`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import ics23
from ibc_core import errors
from ibc_core.ics23 import merkle
from ibc_core.ics23.errors import EmptyProof, WrongLength

SPACE = "ics23"
Anchor = tuple[Sequence[ics23.ProofSpec], bytes]  # specifications, leaf tree first, and the root
Path = Sequence[bytes]  # root tree first


def check_member(anchor: Anchor, path: Path, proof: bytes, value: bytes) -> None:
    """`path` holds `value`; raises InvalidProof, or InvalidMerkleProof where there is not one proof a tree."""
    with _as_commitment_error(path):
        merkle.verify_membership(*anchor, path, proof, value)


def check_absent(anchor: Anchor, path: Path, proof: bytes) -> None:
    """`path` holds nothing; refusals as above."""
    with _as_commitment_error(path):
        merkle.verify_non_membership(*anchor, path, proof)


@contextmanager
def _as_commitment_error(path: Path) -> Iterator[None]:
    """What ICS-23 finds wrong is `commitment/2` or `/4` to the outside; the reason stays in the text."""
    try:
        yield
    except ChainError as error:
        if error.codespace != SPACE:
            raise
        kind = errors.InvalidMerkleProof if isinstance(error, (EmptyProof, WrongLength)) else errors.InvalidProof
        what = b"/".join(path).decode(errors="backslashreplace")
        raise kind(f"failed verification of {what}: {error}") from error
