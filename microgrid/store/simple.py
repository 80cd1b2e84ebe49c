"""CometBFT's simple Merkle tree (RFC 6962) over the stores of a version: (name, root) pairs in order of names."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from cosmos_wire.merkle import INNER, LEAF, leaf_hash, root_of_hashes, split
from cosmos_wire.protos import ics23
from microgrid.store.page import uvarint


def leaf(name: bytes, root: bytes) -> bytes:
    """SHA256(0x00, len name, name, 32, SHA256(root))."""
    return leaf_hash(uvarint(len(name)) + name + b"\x20" + sha256(root).digest())


def path_of(leaves: Sequence[bytes], index: int) -> list[ics23.InnerOp]:
    """Inner operations from leaf `index` up to the root."""
    if len(leaves) == 1:
        return []
    at = split(len(leaves))
    if index < at:
        step = ics23.InnerOp(hash=ics23.SHA256, prefix=INNER, suffix=root_of_hashes(leaves[at:]))
        return [*path_of(leaves[:at], index), step]
    step = ics23.InnerOp(hash=ics23.SHA256, prefix=INNER + root_of_hashes(leaves[:at]))
    return [*path_of(leaves[at:], index - at), step]


def app_hash(roots: dict[str, bytes]) -> bytes:
    """Root over all stores."""
    return root_of_hashes([leaf(name.encode(), roots[name]) for name in sorted(roots)])


def store_proof(roots: dict[str, bytes], name: str) -> ics23.CommitmentProof:
    """Existence of one store's root under the app hash."""
    names = sorted(roots)
    leaves = [leaf(each.encode(), roots[each]) for each in names]
    op = ics23.LeafOp(
        hash=ics23.SHA256, prehash_key=ics23.NO_HASH, prehash_value=ics23.SHA256, length=ics23.VAR_PROTO, prefix=LEAF
    )
    path = path_of(leaves, names.index(name))
    return ics23.CommitmentProof(exist=ics23.ExistenceProof(key=name.encode(), value=roots[name], leaf=op, path=path))
