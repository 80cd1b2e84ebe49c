"""Leaf and inner operations: what they hash, and whether they are as the specification has them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cosmos_wire.protos import ics23
from ibc_core.ics23.errors import BadIavlPrefix, BadInner, BadLeaf, EmptyInput, UnsupportedHash
from ibc_core.ics23.specs import is_iavl

# Only hashes that every build of Python has: a proof must not verify on one validator and fail on another.
HASHES: dict[int, Callable[[bytes], bytes]] = {
    ics23.SHA256: lambda data: hashlib.sha256(data).digest(),
    ics23.SHA512: lambda data: hashlib.sha512(data).digest(),
    ics23.BLAKE2B_512: lambda data: hashlib.blake2b(data).digest(),
    ics23.BLAKE2S_256: lambda data: hashlib.blake2s(data).digest(),
}
VARINT_BYTES_MAX = 10
IAVL_REST_LEFT, IAVL_REST_RIGHT = 1, 34  # after the varints: length byte, or left sibling between two of them


def digest(op: int, data: bytes) -> bytes:
    """Hash by the operation's number (UnsupportedHash)."""
    if op not in HASHES:
        raise UnsupportedHash(f"expected a hash operation of {sorted(HASHES)}, got {op}")
    return HASHES[op](data)


def uvarint(value: int) -> bytes:
    """Unsigned varint of protobuf."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _with_length(op: int, data: bytes) -> bytes:
    size = len(data)
    if op == ics23.NO_PREFIX:
        return data
    if op == ics23.VAR_PROTO:
        return uvarint(size) + data
    if op in (ics23.REQUIRE_32_BYTES, ics23.REQUIRE_64_BYTES):
        wanted = 32 if op == ics23.REQUIRE_32_BYTES else 64
        if size != wanted:
            raise BadLeaf(f"expected {wanted} bytes of data, got {size}")
        return data
    return _fixed_length(op, size) + data


def _fixed_length(op: int, size: int) -> bytes:
    if op in (ics23.FIXED32_BIG, ics23.FIXED64_BIG):
        return size.to_bytes(4 if op == ics23.FIXED32_BIG else 8, "big")
    if op in (ics23.FIXED32_LITTLE, ics23.FIXED64_LITTLE):
        return size.to_bytes(4 if op == ics23.FIXED32_LITTLE else 8, "little")
    raise UnsupportedHash(f"expected a known length operation, got {op}")


def apply_leaf(op: ics23.LeafOp, key: bytes, value: bytes) -> bytes:
    """Hash of a leaf."""
    if not key or not value:
        raise EmptyInput(f"expected a leaf with key and value, got {len(key)} and {len(value)} bytes")
    parts = [op.prefix]
    for prehash, data in ((op.prehash_key, key), (op.prehash_value, value)):
        hashed = data if prehash == ics23.NO_HASH else digest(prehash, data)
        parts.append(_with_length(op.length, hashed))
    return digest(op.hash, b"".join(parts))


def apply_inner(op: ics23.InnerOp, child: bytes) -> bytes:
    """Hash of the node above `child`."""
    return digest(op.hash, op.prefix + child + op.suffix)


def check_leaf(op: ics23.LeafOp, spec: ics23.ProofSpec) -> None:
    """Refuse a leaf operation that differs from the specification (BadLeaf, BadIavlPrefix)."""
    wanted = spec.leaf_spec
    if is_iavl(spec):
        check_iavl_prefix(op.prefix, 0)
    for field in ("hash", "prehash_key", "prehash_value", "length"):
        if getattr(op, field) != getattr(wanted, field):
            raise BadLeaf(f"expected {field} {getattr(wanted, field)}, got {getattr(op, field)}")
    if not op.prefix.startswith(wanted.prefix):
        raise BadLeaf(f"expected the prefix to begin with {wanted.prefix.hex()}, got {op.prefix.hex()}")


def check_inner(op: ics23.InnerOp, spec: ics23.ProofSpec, layer: int) -> None:
    """Refuse an inner operation that differs from the specification; `layer` counts from 1 above the leaf."""
    inner = spec.inner_spec
    if op.hash != inner.hash:
        raise BadInner(f"expected hash {inner.hash}, got {op.hash}")
    if is_iavl(spec):
        check_iavl_prefix(op.prefix, layer)
    if op.prefix.startswith(spec.leaf_spec.prefix):
        raise BadInner(f"expected a prefix that is not a leaf's, got {op.prefix.hex()}")
    longest = inner.max_prefix_length + (len(inner.child_order) - 1) * inner.child_size
    if not inner.min_prefix_length <= len(op.prefix) <= longest:
        raise BadInner(f"expected a prefix of {inner.min_prefix_length} to {longest} bytes, got {len(op.prefix)}")
    # Stricter than Go, which looks at this for neighbours only: a node with both sides filled (the BSC bridge,
    # October 2022), or with room for more than a node has, proves nothing.
    if branch_of(inner, op) is None:
        raise BadInner(f"expected one child to be open, got {len(op.prefix)} and {len(op.suffix)} bytes beside it")


def is_branch(inner: ics23.InnerSpec, step: ics23.InnerOp, branch: int) -> bool:
    """Whether prefix and suffix have the lengths of this branch."""
    place = list(inner.child_order).index(branch)
    before, after = place * inner.child_size, (len(inner.child_order) - 1 - place) * inner.child_size
    fits = before + inner.min_prefix_length <= len(step.prefix) <= before + inner.max_prefix_length
    return fits and len(step.suffix) == after


def branch_of(inner: ics23.InnerSpec, step: ics23.InnerOp) -> int | None:
    """The child that the step leaves open; None when its lengths fit no child."""
    return next((b for b in range(len(inner.child_order)) if is_branch(inner, step, b)), None)


def check_iavl_prefix(prefix: bytes, layer: int) -> None:
    """Height, size and version of an IAVL node, then nothing (leaf) or what precedes a child: BadIavlPrefix."""
    at, values = 0, []
    for _ in range(3):
        value, at = _read_varint(prefix, at)
        values.append(value)
    if min(values) < 0 or values[0] < layer:
        raise BadIavlPrefix(f"expected height >= {layer} and no negative number, got {values}")
    rest = len(prefix) - at
    if rest not in ((IAVL_REST_LEFT, IAVL_REST_RIGHT) if layer else (0,)):
        raise BadIavlPrefix(f"expected a node with one side to fill, got {rest} bytes after the version")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Zigzag varint of 64 bits as Go's `binary.ReadVarint` reads it."""
    value = 0
    for count in range(VARINT_BYTES_MAX):
        if at >= len(data):
            raise BadIavlPrefix(f"expected three varints, got {data.hex()}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if value >> 64:
                break
            return (value >> 1) ^ -(value & 1), at
    raise BadIavlPrefix(f"expected varints of 64 bits, got {data.hex()}")
