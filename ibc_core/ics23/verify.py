"""Existence and absence under one specification (ICS-23). Functions return nothing and raise `ics23` errors."""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_wire.protos import ics23
from ibc_core.ics23.errors import (
    BadDepth,
    BadInner,
    BadLeaf,
    EmptyInput,
    KeyOutOfRange,
    NotNeighbours,
    WrongKey,
    WrongRoot,
    WrongValue,
)
from ibc_core.ics23.ops import apply_inner, apply_leaf, branch_of, check_inner, check_leaf, digest, is_branch
from ibc_core.ics23.specs import DEPTH_MAX, check_spec

HASH_BYTES_MIN = 32


def existence_root(spec: ics23.ProofSpec, proof: ics23.ExistenceProof) -> bytes:
    """Root that the proof leads to, after its shape was checked against the specification."""
    check_spec(spec)
    if not proof.HasField("leaf"):
        raise BadLeaf("expected a leaf operation, got none")
    check_leaf(proof.leaf, spec)
    deepest = spec.max_depth or DEPTH_MAX
    if not spec.min_depth <= len(proof.path) <= deepest:
        raise BadDepth(f"expected {spec.min_depth} to {deepest} inner nodes, got {len(proof.path)}")
    for layer, step in enumerate(proof.path, 1):
        check_inner(step, spec, layer)
    return _climb(spec.inner_spec, proof)


def _climb(inner: ics23.InnerSpec, proof: ics23.ExistenceProof) -> bytes:
    node = apply_leaf(proof.leaf, proof.key, proof.value)
    for step in proof.path:
        node = apply_inner(step, node)
        if inner.child_size >= HASH_BYTES_MIN and len(node) > inner.child_size:
            raise BadInner(f"expected hashes of at most {inner.child_size} bytes, got {len(node)}")
    return node


def verify_existence(spec: ics23.ProofSpec, root: bytes, proof: ics23.ExistenceProof, key: bytes, value: bytes) -> None:
    """Check that `key` holds `value` in the tree with this root."""
    _check_root(root, holder_root(spec, proof, key, value))


def verify_non_existence(spec: ics23.ProofSpec, root: bytes, proof: ics23.NonExistenceProof, key: bytes) -> None:
    """Check that the tree with this root has no `key`: its neighbours are there, in order and adjacent."""
    _check_root(root, lacking_root(spec, proof, key))


def _check_root(wanted: bytes, found: bytes) -> None:
    if not wanted:
        raise EmptyInput("expected a root, got none")
    if found != wanted:
        raise WrongRoot(f"expected {wanted.hex()}, got {found.hex()}")


def holder_root(spec: ics23.ProofSpec, proof: ics23.ExistenceProof, key: bytes, value: bytes) -> bytes:
    """Root of the tree in which the proof shows that `key` holds `value`."""
    if not key or not value:
        raise EmptyInput(f"expected key and value, got {len(key)} and {len(value)} bytes")
    if proof.key != key:
        raise WrongKey(f"expected {key!r}, got {proof.key!r}")
    if proof.value != value:
        raise WrongValue(f"expected {value.hex()}, got {proof.value.hex()}")
    return existence_root(spec, proof)


def lacking_root(spec: ics23.ProofSpec, proof: ics23.NonExistenceProof, key: bytes) -> bytes:
    """Root of the tree in which the proof shows that there is no `key`."""
    if not key:
        raise EmptyInput("expected a key, got none")
    left = proof.left if proof.HasField("left") else None
    right = proof.right if proof.HasField("right") else None
    roots = [existence_root(spec, side) for side in (left, right) if side is not None]
    if not roots:
        raise EmptyInput("expected a left or a right neighbour, got none")
    if roots[0] != roots[-1]:
        raise WrongRoot(f"expected both neighbours under {roots[0].hex()}, got {roots[-1].hex()}")
    _check_order(spec, left, right, key)
    _check_adjacent(spec.inner_spec, left, right)
    return roots[0]


def _check_order(
    spec: ics23.ProofSpec, left: ics23.ExistenceProof | None, right: ics23.ExistenceProof | None, key: bytes
) -> None:
    place = _comparable(spec, key)
    if right is not None and place >= _comparable(spec, right.key):
        raise KeyOutOfRange(f"expected a right neighbour above {key!r}, got {right.key!r}")
    if left is not None and place <= _comparable(spec, left.key):
        raise KeyOutOfRange(f"expected a left neighbour below {key!r}, got {left.key!r}")


def _comparable(spec: ics23.ProofSpec, key: bytes) -> bytes:
    if not spec.prehash_key_before_comparison or spec.leaf_spec.prehash_key == ics23.NO_HASH:
        return key
    return digest(spec.leaf_spec.prehash_key, key)


def _check_adjacent(
    inner: ics23.InnerSpec, left: ics23.ExistenceProof | None, right: ics23.ExistenceProof | None
) -> None:
    if left is None:
        assert right is not None
        if not is_left_most(inner, right.path):
            raise NotNeighbours("expected the right neighbour to be the tree's first leaf")
    elif right is None:
        if not is_right_most(inner, left.path):
            raise NotNeighbours("expected the left neighbour to be the tree's last leaf")
    elif not are_neighbours(inner, left.path, right.path):
        raise NotNeighbours(f"expected no leaf between {left.key!r} and {right.key!r}")


Path = Sequence[ics23.InnerOp]


def is_left_most(inner: ics23.InnerSpec, path: Path) -> bool:
    """Whether no leaf lies left of the path; empty placeholders don't count."""
    return all(is_branch(inner, step, 0) or _empty_on_left(inner, step) for step in path)


def is_right_most(inner: ics23.InnerSpec, path: Path) -> bool:
    """Whether no leaf lies right of the path; empty placeholders don't count."""
    last = len(inner.child_order) - 1
    return all(is_branch(inner, step, last) or _empty_on_right(inner, step) for step in path)


def are_neighbours(inner: ics23.InnerSpec, left: Path, right: Path) -> bool:
    """Whether `right` is the next leaf after `left`: equal above the fork, extreme on both sides below it."""
    depth = 1
    while depth <= min(len(left), len(right)) and _same(left[-depth], right[-depth]):
        depth += 1
    if depth > min(len(left), len(right)):
        return False  # one path ends where the other goes on: not two leaves of one tree
    fork_left, fork_right = branch_of(inner, left[-depth]), branch_of(inner, right[-depth])
    if fork_left is None or fork_right is None or fork_right != fork_left + 1:
        return False
    return is_right_most(inner, left[: len(left) - depth]) and is_left_most(inner, right[: len(right) - depth])


def _same(one: ics23.InnerOp, other: ics23.InnerOp) -> bool:
    return one.prefix == other.prefix and one.suffix == other.suffix


def _empty_on_left(inner: ics23.InnerSpec, step: ics23.InnerOp) -> bool:
    branch = branch_of(inner, step)
    if not branch:
        return False
    start = len(step.prefix) - branch * inner.child_size
    return start >= 0 and _all_empty(inner, step.prefix[start:], range(branch))


def _empty_on_right(inner: ics23.InnerSpec, step: ics23.InnerOp) -> bool:
    branch = branch_of(inner, step)
    if branch is None:
        return False
    count = len(inner.child_order) - 1 - branch
    return count > 0 and len(step.suffix) == count * inner.child_size and _all_empty(inner, step.suffix, range(count))


def _all_empty(inner: ics23.InnerSpec, data: bytes, branches: range) -> bool:
    order = list(inner.child_order)
    places = (order.index(branch) * inner.child_size for branch in branches)
    return all(data[at : at + inner.child_size] == inner.empty_child for at in places)
