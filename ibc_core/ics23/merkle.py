"""ICS-23 commitments of IBC: a chain of proofs from the lowest tree to the root in a header.

A proof is `ibc.core.commitment.v1.MerkleProof`: one CommitmentProof a tree, leaf tree first. A path has one key a
tree, root tree first (`(b"ibc", b"connections/connection-0")`). Batch and compressed proofs are refused, as
ibc-go's 23-commitment does: it accepts existence and absence of a single key and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_wire.protos import DecodeError, commitment, ics23
from ibc_core.ics23.errors import (
    BadSpec,
    EmptyInput,
    EmptyProof,
    MalformedProof,
    UnsupportedProof,
    WrongLength,
    WrongProofKind,
    WrongRoot,
)
from ibc_core.ics23.verify import holder_root, lacking_root

Specs = Sequence[ics23.ProofSpec]
KeyPath = Sequence[bytes]


def verify_membership(specs: Specs, root: bytes, path: KeyPath, proof_bytes: bytes, value: bytes) -> None:
    """Check that `path` holds `value` under `root`; raises an error of code space `ics23`."""
    proofs = _open(specs, root, path, proof_bytes)
    if not value:
        raise EmptyInput("expected a value, got none")
    _check_chain(specs, root, path, proofs, value)


def verify_non_membership(specs: Specs, root: bytes, path: KeyPath, proof_bytes: bytes) -> None:
    """Check that the last key of `path` is absent from its tree, and that tree under `root`."""
    proofs = _open(specs, root, path, proof_bytes)
    lowest = proofs[0]
    if _kind(lowest) != "nonexist":
        raise WrongProofKind("expected an absence proof of the lowest tree, got an existence proof")
    subroot = lacking_root(specs[0], lowest.nonexist, path[-1])
    _check_chain(specs[1:], root, path[:-1], proofs[1:], subroot)


def _open(specs: Specs, root: bytes, path: KeyPath, proof_bytes: bytes) -> Sequence[ics23.CommitmentProof]:
    proof = commitment.MerkleProof()
    try:
        proof.ParseFromString(proof_bytes)
    except DecodeError as error:
        raise MalformedProof(f"expected a MerkleProof, got {len(proof_bytes)} bytes that are none ({error})") from error
    if not proof.proofs or not root:
        raise EmptyProof(f"expected proofs and a root, got {len(proof.proofs)} and {len(root)} bytes")
    if len(specs) != len(proof.proofs):
        raise WrongLength(f"expected a proof for each of {len(specs)} specifications, got {len(proof.proofs)}")
    if len(path) != len(specs):
        raise BadSpec(f"expected a specification for each of {len(path)} keys, got {len(specs)}")
    if not all(path):
        raise EmptyInput(f"expected keys, one of {len(path)} is empty")
    return proof.proofs


def _kind(proof: ics23.CommitmentProof) -> str:
    kind = proof.WhichOneof("proof")
    if kind not in ("exist", "nonexist"):
        raise UnsupportedProof(f"expected an existence or absence proof, got {kind or 'nothing'}")
    return kind


def _check_chain(
    specs: Specs, root: bytes, path: KeyPath, proofs: Sequence[ics23.CommitmentProof], value: bytes
) -> None:
    """Each tree's root is the value that the next tree holds; the last one is `root`."""
    for spec, key, proof in zip(specs, reversed(path), proofs, strict=True):
        if _kind(proof) != "exist":
            raise WrongProofKind(f"expected an existence proof of {key!r}, got an absence proof")
        value = holder_root(spec, proof.exist, key, value)
    if value != root:
        raise WrongRoot(f"expected {root.hex()}, got {value.hex()}")
