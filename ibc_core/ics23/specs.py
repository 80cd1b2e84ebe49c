"""The two specifications that every Cosmos chain proves under, and what a usable specification is."""

from __future__ import annotations

from cosmos_wire.protos import ics23
from ibc_core.ics23.errors import BadSpec

DEPTH_MAX = 128  # where a specification leaves max_depth at zero


def _spec(child_size: int, prefix_min: int, prefix_max: int) -> ics23.ProofSpec:
    leaf = ics23.LeafOp(
        hash=ics23.SHA256, prehash_key=ics23.NO_HASH, prehash_value=ics23.SHA256, length=ics23.VAR_PROTO, prefix=b"\0"
    )
    inner = ics23.InnerSpec(
        child_order=[0, 1],
        child_size=child_size,
        min_prefix_length=prefix_min,
        max_prefix_length=prefix_max,
        hash=ics23.SHA256,
    )
    return ics23.ProofSpec(leaf_spec=leaf, inner_spec=inner)


IAVL_SPEC = _spec(33, 4, 12)  # a child is a length byte and its hash
TENDERMINT_SPEC = _spec(32, 1, 1)


def check_spec(spec: ics23.ProofSpec) -> None:
    """Refuse a specification under which a proof would prove nothing (BadSpec)."""
    if not spec.HasField("leaf_spec") or not spec.HasField("inner_spec"):
        raise BadSpec("expected leaf_spec and inner_spec, one is missing")
    inner = spec.inner_spec
    if sorted(inner.child_order) != list(range(len(inner.child_order))) or not inner.child_order:
        raise BadSpec(f"expected child_order to be a permutation of 0.., got {list(inner.child_order)}")
    if inner.child_size < 1:
        raise BadSpec(f"expected child_size >= 1, got {inner.child_size}")
    _check_prefix_lengths(inner)
    if spec.min_depth < 0 or spec.max_depth < 0:
        raise BadSpec(f"expected depths >= 0, got {spec.min_depth} and {spec.max_depth}")


def _check_prefix_lengths(inner: ics23.InnerSpec) -> None:
    shortest, longest = inner.min_prefix_length, inner.max_prefix_length
    # With longer prefixes a left child could pass for a part of the prefix (Dragonberry).
    if not 0 <= shortest <= longest < shortest + inner.child_size:
        raise BadSpec(
            f"expected 0 <= min_prefix_length <= max_prefix_length < min_prefix_length + {inner.child_size}, "
            f"got {shortest} and {longest}"
        )


def is_iavl(spec: ics23.ProofSpec) -> bool:
    """Whether the IAVL prefix rules hold: the fields that Go's `SpecEquals` compares are IAVL's."""
    leaf, inner = spec.leaf_spec, spec.inner_spec
    own = IAVL_SPEC
    return (
        (leaf.hash, leaf.prehash_key, leaf.prehash_value, leaf.length)
        == (own.leaf_spec.hash, own.leaf_spec.prehash_key, own.leaf_spec.prehash_value, own.leaf_spec.length)
    ) and (
        (inner.hash, inner.min_prefix_length, inner.max_prefix_length, inner.child_size, len(inner.child_order))
        == (own.inner_spec.hash, 4, 12, 33, 2)
    )
