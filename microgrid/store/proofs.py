"""Building ICS-23 proofs of one tree in IAVL's format."""

from __future__ import annotations

from collections.abc import Callable

from cosmos_wire.protos import ics23
from microgrid.store.errors import EmptyTree
from microgrid.store.page import LEAF_PREFIX, Inner, Item, inner_prefix
from microgrid.store.tree import Tree

ReadValue = Callable[[Item], bytes]


def prove(tree: Tree, read: ReadValue, key: bytes) -> tuple[bytes | None, ics23.CommitmentProof]:
    """Value (None when absent) and the proof of it; EmptyTree when there is nothing to prove absence with."""
    if tree.root.item is None:
        raise EmptyTree(f"expected a tree with at least one key to prove the absence of {key!r} in")
    item = tree.find(key)
    if item is None:
        return None, ics23.CommitmentProof(nonexist=_absence(tree, read, key))
    value = read(item)
    return value, ics23.CommitmentProof(exist=_existence(tree, key, value))


def _absence(tree: Tree, read: ReadValue, key: bytes) -> ics23.NonExistenceProof:
    proof = ics23.NonExistenceProof(key=key)
    below, above = tree.neighbours(key)
    for neighbour, side in ((below, proof.left), (above, proof.right)):
        if neighbour is not None:
            item = tree.find(neighbour)
            assert item is not None
            side.CopyFrom(_existence(tree, neighbour, read(item)))
    return proof


def _existence(tree: Tree, key: bytes, value: bytes) -> ics23.ExistenceProof:
    steps = [step for page, index in tree.pages_to(key) for step in page.path(index)]
    leaf = ics23.LeafOp(
        hash=ics23.SHA256,
        prehash_key=ics23.NO_HASH,
        prehash_value=ics23.SHA256,
        length=ics23.VAR_PROTO,
        prefix=LEAF_PREFIX,
    )
    path = [_step(node, on_left=on_left) for node, on_left in reversed(steps)]
    return ics23.ExistenceProof(key=key, value=value, leaf=leaf, path=path)


def _step(node: Inner, *, on_left: bool) -> ics23.InnerOp:
    prefix = inner_prefix(node.height, node.size)
    if on_left:
        return ics23.InnerOp(hash=ics23.SHA256, prefix=prefix, suffix=b"\x20" + node.right.hash)
    return ics23.InnerOp(hash=ics23.SHA256, prefix=prefix + node.left.hash + b"\x20")
