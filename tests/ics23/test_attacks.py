"""Forgeries that robbed others, each refused by name; nothing empty or garbled crashes the verifier."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import DecodeError, commitment, ics23
from ibc_core.ics23 import (
    IAVL_SPEC,
    TENDERMINT_SPEC,
    errors,
    existence_root,
    verify_existence,
    verify_membership,
    verify_non_existence,
    verify_non_membership,
)
from ibc_core.ics23.ops import uvarint
from ibc_core.ics23.verify import are_neighbours
from tests.oracle.build import ask

HEAD = bytes([2, 4, 2])  # height 1, size 2, version 1


def leaf_op() -> ics23.LeafOp:
    return ics23.LeafOp(hash=1, prehash_value=1, length=1, prefix=b"\0\2\2")


def leaf_hash(key: bytes, value: bytes) -> bytes:
    data = b"\0\2\2" + uvarint(len(key)) + key + b"\x20" + hashlib.sha256(value).digest()
    return hashlib.sha256(data).digest()


def inner_hash(head: bytes, left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(head + b"\x20" + left + b"\x20" + right).digest()


def left_step(head: bytes, right: bytes) -> ics23.InnerOp:
    return ics23.InnerOp(hash=1, prefix=head + b"\x20", suffix=b"\x20" + right)


def right_step(head: bytes, left: bytes) -> ics23.InnerOp:
    return ics23.InnerOp(hash=1, prefix=head + b"\x20" + left + b"\x20")


def proof_of(key: bytes, *path: ics23.InnerOp) -> ics23.ExistenceProof:
    return ics23.ExistenceProof(key=key, value=b"value", leaf=leaf_op(), path=path)


def go_accepts(spec: ics23.ProofSpec, root: bytes, proof: ics23.CommitmentProof, key: bytes) -> bool:
    value = None if proof.HasField("nonexist") else b"value".hex()
    case = {
        "specs": [spec.SerializeToString().hex()],
        "root": root.hex(),
        "path": [key.hex()],
        "value": value,
        "proofs": [proof.SerializeToString().hex()],
    }
    return bool(ask("ics23", [case])[0]["ok"])


def refuse_existence(wanted: type[ChainError], proof: ics23.ExistenceProof) -> None:
    """Refused for the stated reason, with the root that the forger would have us believe."""
    root = leaf_hash(proof.key, proof.value)
    for step in proof.path:
        root = hashlib.sha256(step.prefix + root + step.suffix).digest()
    with pytest.raises(wanted):
        verify_existence(IAVL_SPEC, root, proof, proof.key, b"value")
    assert not go_accepts(IAVL_SPEC, root, ics23.CommitmentProof(exist=proof), proof.key)


def test_inner_node_with_both_sides_filled_is_refused() -> None:
    """BSC bridge, October 2022: the proof's leaf is swallowed by a node that has two children already."""
    other = leaf_hash(b"x", b"y")
    both = ics23.InnerOp(hash=1, prefix=HEAD + b"\x20" + other + b"\x20", suffix=b"\x20" + other)
    with pytest.raises(errors.BadInner):
        existence_root(IAVL_SPEC, proof_of(b"k", both))
    root = hashlib.sha256(both.prefix + leaf_hash(b"k", b"value") + both.suffix).digest()
    forged = ics23.NonExistenceProof(key=b"z", left=proof_of(b"k", both))
    assert not go_accepts(IAVL_SPEC, root, ics23.CommitmentProof(nonexist=forged), b"z")
    with pytest.raises(errors.BadInner):
        verify_non_existence(IAVL_SPEC, root, forged, b"z")


def test_inner_node_that_hides_a_tree_in_its_prefix_is_refused() -> None:
    refuse_existence(errors.BadIavlPrefix, proof_of(b"k", right_step(HEAD + b"\x20" * 5, b"\1" * 32)))
    refuse_existence(errors.BadIavlPrefix, proof_of(b"k", ics23.InnerOp(hash=1, prefix=HEAD + b"\x20" * 20)))


def test_leaf_prefix_is_never_an_inner_prefix() -> None:
    """Dragonberry: a leaf's bytes read as a node's, so that a value becomes a subtree."""
    refuse_existence(errors.BadIavlPrefix, proof_of(b"k", left_step(b"\0\2\2", b"\1" * 32)))
    step = ics23.InnerOp(hash=1, prefix=b"\0", suffix=b"\1" * 32)
    with pytest.raises(errors.BadInner):
        existence_root(TENDERMINT_SPEC, proof_of(b"k", step))


def test_a_leaf_with_more_in_its_prefix_is_refused() -> None:
    proof = proof_of(b"k")
    proof.leaf.prefix += b"\x01k"
    with pytest.raises(errors.BadIavlPrefix):
        existence_root(IAVL_SPEC, proof)


@pytest.mark.parametrize(("shortest", "longest"), [(4, 37), (4, 400), (12, 4), (-1, 3)])
def test_specs_under_which_a_child_passes_for_a_prefix_are_refused(shortest: int, longest: int) -> None:
    """MaxPrefixLength has to be below MinPrefixLength + ChildSize."""
    spec = ics23.ProofSpec()
    spec.CopyFrom(IAVL_SPEC)
    spec.inner_spec.min_prefix_length, spec.inner_spec.max_prefix_length = shortest, longest
    with pytest.raises(errors.BadSpec):
        existence_root(spec, proof_of(b"k"))


@pytest.mark.parametrize("field", ["leaf_spec", "inner_spec"])
def test_specs_without_a_part_are_refused(field: str) -> None:
    spec = ics23.ProofSpec()
    spec.CopyFrom(IAVL_SPEC)
    spec.ClearField(field)
    with pytest.raises(errors.BadSpec):
        existence_root(spec, proof_of(b"k"))


@pytest.mark.parametrize(("order", "size"), [([], 33), ([0, 0], 33), ([0, 2], 33), ([0, 1], 0), ([0, 1], -33)])
def test_specs_with_an_impossible_node_are_refused(order: list[int], size: int) -> None:
    spec = ics23.ProofSpec()
    spec.CopyFrom(IAVL_SPEC)
    spec.inner_spec.child_order[:] = order
    spec.inner_spec.child_size = size
    with pytest.raises(errors.BadSpec):
        existence_root(spec, proof_of(b"k"))


def test_prefix_lengths() -> None:
    refuse_existence(errors.BadIavlPrefix, proof_of(b"k", ics23.InnerOp(hash=1, prefix=b"\2\4\2")))
    for prefix in (b"", b"\1\1"):
        with pytest.raises(errors.BadInner):
            existence_root(TENDERMINT_SPEC, proof_of(b"k", ics23.InnerOp(hash=1, prefix=prefix)))


def test_height_has_to_reach_down_to_the_leaf() -> None:
    steps = [left_step(HEAD, b"\1" * 32), left_step(HEAD, b"\2" * 32)]
    refuse_existence(errors.BadIavlPrefix, proof_of(b"k", *steps))


@pytest.mark.parametrize(
    "prefix",
    [
        b"\x01\x04\x02\x20",
        b"\x02\x03\x02\x20",
        b"\x80" * 11 + b"\x20",
        b"\xfe" + b"\xff" * 8 + b"\x03\x04\x02\x20",
        b"\x02\x04",
    ],
)
def test_varints_that_no_node_has(prefix: bytes) -> None:
    """Negative numbers, numbers beyond 64 bits, too few of them."""
    step = ics23.InnerOp(hash=1, prefix=prefix, suffix=b"\x20" + b"\1" * 32)
    refuse_existence(errors.BadIavlPrefix, proof_of(b"k", step))


def test_depth_is_bounded() -> None:
    steps = [left_step(uvarint(400) + b"\4\2", bytes([n % 256]) * 32) for n in range(129)]
    refuse_existence(errors.BadDepth, proof_of(b"k", *steps))
    verify_existence(
        IAVL_SPEC, existence_root(IAVL_SPEC, proof_of(b"k", *steps[:128])), proof_of(b"k", *steps[:128]), b"k", b"value"
    )
    shallow = ics23.ProofSpec()
    shallow.CopyFrom(IAVL_SPEC)
    shallow.min_depth = 3
    with pytest.raises(errors.BadDepth):
        existence_root(shallow, proof_of(b"k", *steps[:2]))


def three_leaves() -> tuple[bytes, dict[bytes, ics23.ExistenceProof]]:
    """Tree ((b, d), f)."""
    b, d, f = (leaf_hash(key, b"value") for key in (b"b", b"d", b"f"))
    low, high = bytes([2, 4, 2]), bytes([4, 6, 2])
    pair = inner_hash(low, b, d)
    proofs = {
        b"b": proof_of(b"b", left_step(low, d), left_step(high, f)),
        b"d": proof_of(b"d", right_step(low, b), left_step(high, f)),
        b"f": proof_of(b"f", right_step(high, pair)),
    }
    return inner_hash(high, pair, f), proofs


@pytest.mark.parametrize(
    ("left", "right", "key"), [(None, b"b", b"a"), (b"b", b"d", b"c"), (b"d", b"f", b"e"), (b"f", None, b"g")]
)
def test_absence_between_true_neighbours(left: bytes | None, right: bytes | None, key: bytes) -> None:
    root, proofs = three_leaves()
    proof = ics23.NonExistenceProof(key=key, left=proofs.get(left or b""), right=proofs.get(right or b""))
    verify_non_existence(IAVL_SPEC, root, proof, key)
    assert go_accepts(IAVL_SPEC, root, ics23.CommitmentProof(nonexist=proof), key)


@pytest.mark.parametrize(
    ("left", "right", "key", "reason"),
    [
        (b"b", b"f", b"d", errors.NotNeighbours),
        (b"b", b"f", b"e", errors.NotNeighbours),
        (None, b"d", b"b", errors.NotNeighbours),
        (b"d", None, b"f", errors.NotNeighbours),
        (b"b", b"b", b"b", errors.KeyOutOfRange),
        (b"d", b"b", b"c", errors.KeyOutOfRange),
        (b"b", b"d", b"b", errors.KeyOutOfRange),
        (b"b", b"d", b"d", errors.KeyOutOfRange),
        (b"b", b"d", b"e", errors.KeyOutOfRange),
        (None, None, b"a", errors.EmptyInput),
    ],
)
def test_forged_absence_is_refused(
    left: bytes | None, right: bytes | None, key: bytes, reason: type[ChainError]
) -> None:
    """Dragonberry's end: a forged absence is a forged timeout is a double spend."""
    root, proofs = three_leaves()
    proof = ics23.NonExistenceProof(key=key, left=proofs.get(left or b""), right=proofs.get(right or b""))
    with pytest.raises(reason):
        verify_non_existence(IAVL_SPEC, root, proof, key)
    assert not go_accepts(IAVL_SPEC, root, ics23.CommitmentProof(nonexist=proof), key)


def test_neighbours_of_a_fork_are_the_nearest_on_both_sides() -> None:
    """Tree (b, (d, f)): f is not the next after b; and what lies right is never left."""
    b, d, f = (leaf_hash(key, b"value") for key in (b"b", b"d", b"f"))
    low, high = bytes([2, 4, 2]), bytes([4, 6, 2])
    pair = inner_hash(low, d, f)
    first = proof_of(b"b", left_step(high, pair))
    second = proof_of(b"d", left_step(low, f), right_step(high, b))
    third = proof_of(b"f", right_step(low, d), right_step(high, b))
    inner = IAVL_SPEC.inner_spec
    assert are_neighbours(inner, first.path, second.path)
    assert not are_neighbours(inner, second.path, first.path)
    assert not are_neighbours(inner, first.path, third.path)
    assert not are_neighbours(inner, third.path, first.path)
    assert not are_neighbours(inner, first.path, first.path)
    assert not are_neighbours(inner, [], first.path)
    forged = ics23.NonExistenceProof(key=b"d", left=first, right=third)
    assert not go_accepts(IAVL_SPEC, inner_hash(high, b, pair), ics23.CommitmentProof(nonexist=forged), b"d")
    with pytest.raises(errors.NotNeighbours):
        verify_non_existence(IAVL_SPEC, inner_hash(high, b, pair), forged, b"d")


def test_one_path_that_ends_inside_the_other_is_no_neighbour() -> None:
    root, proofs = three_leaves()
    short = proof_of(b"c")
    forged = ics23.NonExistenceProof(key=b"c", left=short, right=proofs[b"f"])
    with pytest.raises(errors.WrongRoot):
        verify_non_existence(IAVL_SPEC, root, forged, b"c")
    alone = leaf_hash(b"k", b"value")
    twice = ics23.NonExistenceProof(key=b"kk", left=proof_of(b"k"), right=proof_of(b"k"))
    with pytest.raises(errors.KeyOutOfRange):
        verify_non_existence(IAVL_SPEC, alone, twice, b"kk")


def test_empty_children_count_as_nothing_only_where_the_spec_has_them() -> None:
    """A sparse tree's placeholder: the rightmost leaf may have empty siblings on its right, no others."""
    spec = ics23.ProofSpec()
    spec.CopyFrom(TENDERMINT_SPEC)
    spec.inner_spec.empty_child = bytes(32)
    for sibling, fine in ((bytes(32), True), (b"\1" * 32, False)):
        proof = ics23.ExistenceProof(key=b"k", value=b"value", leaf=leaf_op())
        proof.path.add(hash=1, prefix=b"\1", suffix=sibling)
        absent = ics23.NonExistenceProof(key=b"z", left=proof)
        root = existence_root(spec, proof)
        assert go_accepts(spec, root, ics23.CommitmentProof(nonexist=absent), b"z") is fine
        if fine:
            verify_non_existence(spec, root, absent, b"z")
        else:
            with pytest.raises(errors.NotNeighbours):
                verify_non_existence(spec, root, absent, b"z")


def chain_args(proof: bytes) -> tuple[list[ics23.ProofSpec], bytes, list[bytes], bytes]:
    return [IAVL_SPEC, TENDERMINT_SPEC], b"\1" * 32, [b"ibc", b"key"], proof


@pytest.mark.parametrize("kind", ["batch", "compressed", None])
def test_other_kinds_of_proof_are_refused(kind: str | None) -> None:
    proof = ics23.CommitmentProof()
    if kind is not None:
        getattr(proof, kind).SetInParent()
    data = commitment.MerkleProof(proofs=[proof, proof]).SerializeToString()
    with pytest.raises(errors.UnsupportedProof):
        verify_membership(*chain_args(data), b"value")
    with pytest.raises(errors.UnsupportedProof):
        verify_non_membership(*chain_args(data))


@pytest.mark.parametrize("hole", range(4))
def test_empty_input_is_an_error(hole: int) -> None:
    root, proofs = three_leaves()
    data = commitment.MerkleProof(proofs=[ics23.CommitmentProof(exist=proofs[b"b"])]).SerializeToString()
    verify_membership([IAVL_SPEC], root, [b"b"], data, b"value")
    given_root, path, proof, value = (b"" if n == hole else good for n, good in enumerate((root, b"b", data, b"value")))
    with pytest.raises(errors.EmptyProof if hole in {0, 2} else errors.EmptyInput):
        verify_membership([IAVL_SPEC], given_root, [path], proof, value)


def test_lengths_have_to_agree() -> None:
    root, proofs = three_leaves()
    data = commitment.MerkleProof(proofs=[ics23.CommitmentProof(exist=proofs[b"b"])]).SerializeToString()
    with pytest.raises(errors.WrongLength):
        verify_membership([IAVL_SPEC, TENDERMINT_SPEC], root, [b"ibc", b"b"], data, b"value")
    with pytest.raises(errors.BadSpec):
        verify_membership([IAVL_SPEC], root, [b"ibc", b"b"], data, b"value")
    with pytest.raises(errors.WrongLength):
        verify_membership([], root, [b"b"], data, b"value")


@given(st.binary(min_size=1, max_size=300))
def test_garbage_never_crashes(data: bytes) -> None:
    for call in (
        lambda: verify_membership(*chain_args(data), b"value"),
        lambda: verify_non_membership(*chain_args(data)),
    ):
        with pytest.raises(ChainError) as caught:
            call()
        assert caught.value.codespace == "ics23"


@given(st.data())
def test_flipped_bits_never_crash_nor_pass(data: st.DataObject) -> None:
    root, proofs = three_leaves()
    good = commitment.MerkleProof(
        proofs=[
            ics23.CommitmentProof(nonexist=ics23.NonExistenceProof(key=b"c", left=proofs[b"b"], right=proofs[b"d"]))
        ]
    )
    raw = bytearray(good.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    spoilt = commitment.MerkleProof()
    try:
        spoilt.ParseFromString(bytes(raw))
    except DecodeError:
        spoilt.Clear()
    same = bool(spoilt.proofs) and _without_key(spoilt) == _without_key(good)
    if same:
        return  # the key field of an absence proof is not evidence
    with pytest.raises(ChainError):
        verify_non_membership([IAVL_SPEC], root, [b"c"], bytes(raw))


def _without_key(proof: commitment.MerkleProof) -> commitment.MerkleProof:
    bare = commitment.MerkleProof()
    bare.CopyFrom(proof)
    for each in bare.proofs:
        each.nonexist.ClearField("key")
        each.DiscardUnknownFields()
    bare.DiscardUnknownFields()
    return bare
