"""Pages: runs of sorted items, hashed as small binary trees of IAVL nodes.

Level 0 holds the entries, level n+1 holds one item for each page of level n. The binary tree of a page hangs below
the leaf of the page above that stands for it, so that all pages together are one binary tree of IAVL's format
(`docs/adr/0001-merkle-store.md`).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple, TypeAlias

MARK, HARD = 1, 2  # flags of an item: its key's hash calls for a boundary; its page begins at such a boundary

_PAGE = struct.Struct(">BH")
_ENTRY = struct.Struct(">HBI32s")
_CHILD = struct.Struct(">HBBQ8s32s")
_TABLE_MAX = 16_384


class Item(NamedTuple):
    """One entry of a page. `ref` is a value record (level 0) or the 8 bytes of a page's id."""

    key: bytes
    hash: bytes
    height: int
    size: int
    flags: int
    ref: bytes


class Inner(NamedTuple):
    """An inner node inside a page; `mid` is the index at which its items are split."""

    mid: int
    hash: bytes
    height: int
    size: int
    left: Item | Inner
    right: Item | Inner


Node: TypeAlias = Item | Inner


def uvarint(value: int) -> bytes:
    """Unsigned varint of protobuf."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_UV = tuple(uvarint(n) for n in range(_TABLE_MAX))
VERSION = b"\x02"  # zigzag of the constant node version 1: equal states have equal hashes
LEAF_PREFIX = b"\x00\x02" + VERSION  # height 0, size 1


def _uv(value: int) -> bytes:
    return _UV[value] if value < _TABLE_MAX else uvarint(value)


def leaf_hash(key: bytes, value: bytes) -> bytes:
    """IAVL leaf: SHA256(0 1 version, len key, key, 32, SHA256(value))."""
    return sha256(b"%b%b%b\x20%b" % (LEAF_PREFIX, _uv(len(key)), key, sha256(value).digest())).digest()


def inner_prefix(height: int, size: int) -> bytes:
    """Height, size, version as zigzag varints, and the length byte of the left child."""
    return b"%b%b\x02\x20" % (_uv(2 * height), _uv(2 * size))


_HEADS = {(height, size): inner_prefix(height, size) for height in range(1, 16) for size in range(2, 256)}


def join(mid: int, left: Node, right: Node) -> Inner:
    """Node above two others; height and size are the true ones, as verifiers check the height."""
    height = (left[2] if left[2] > right[2] else right[2]) + 1
    size = left[3] + right[3]
    head = _HEADS.get((height, size)) or inner_prefix(height, size)
    digest = sha256(b"%b%b\x20%b" % (head, left[1], right[1])).digest()
    return tuple.__new__(Inner, (mid, digest, height, size, left, right))  # half the time of Inner(...)


class Page:
    """An immutable run of items; the binary tree over them is made when first asked for, or from an older page's."""

    __slots__ = ("_root", "id", "items", "keys", "level")

    def __init__(self, page_id: int, level: int, items: Sequence[Item]) -> None:
        self.id = page_id
        self.level = level
        self.items = items
        self.keys = [item[0] for item in items]
        self._root: Node | None = None

    @property
    def root(self) -> Node:
        """Top of the page's binary tree."""
        if self._root is None:
            self._root = _Builder(self.items, None, ()).build(0, len(self.items), None)
        return self._root

    def build_from(self, old: Page, dirty: Sequence[int]) -> None:
        """Make the tree from that of a page with the same keys, of which the items at `dirty` (sorted) differ."""
        builder = _Builder(self.items, old.items, dirty)
        self._root = builder.build(0, len(self.items), old.root)

    def path(self, index: int) -> Iterator[tuple[Inner, bool]]:
        """Inner nodes from the page's top to the item, each with whether the item is on its left."""
        node = self.root
        while isinstance(node, Inner):
            on_left = index < node.mid
            yield node, on_left
            node = node.left if on_left else node.right


class _Builder:
    """Splits by weight: the depth of an entry grows by at most 2 a level over the logarithm of the tree's size."""

    __slots__ = ("dirty", "items", "sums")

    def __init__(self, items: Sequence[Item], old: Sequence[Item] | None, dirty: Sequence[int]) -> None:
        self.items = items
        self.sums = list(accumulate((item[3] for item in items), initial=0))
        self.dirty = dirty if old is not None else None

    def build(self, low: int, high: int, old: Node | None) -> Node:
        if high - low == 1:
            return self.items[low]
        if old is not None and self.dirty is not None and not self._touches(low, high):
            return old
        mid = self._split(low, high)
        left = right = None
        if isinstance(old, Inner) and old.mid == mid:
            left, right = old.left, old.right
        return join(mid, self.build(low, mid, left), self.build(mid, high, right))

    def _touches(self, low: int, high: int) -> bool:
        assert self.dirty is not None
        at = bisect_left(self.dirty, low)
        return at < len(self.dirty) and self.dirty[at] < high

    def _split(self, low: int, high: int) -> int:
        """Index that halves the weight best; of two equally good ones the lower."""
        sums = self.sums
        twice = sums[low] + sums[high]
        mid = bisect_left(sums, (twice + 1) // 2, low + 1, high - 1)
        if mid > low + 1 and twice - 2 * sums[mid - 1] <= 2 * sums[mid] - twice:
            return mid - 1
        return mid


def encode(page: Page) -> bytes:
    """Bytes of a page as they lie on disk."""
    parts = [_PAGE.pack(page.level, len(page.items))]
    if page.level == 0:
        for key, digest, _, _, flags, ref in page.items:
            parts += (_ENTRY.pack(len(key), flags, len(ref), digest), key, ref)
    else:
        for key, digest, height, size, flags, ref in page.items:
            parts += (_CHILD.pack(len(key), flags, height, size, ref, digest), key)
    return b"".join(parts)


def decode(page_id: int, data: bytes) -> Page:
    """Page from its bytes on disk."""
    level, count = _PAGE.unpack_from(data)
    read = _entries if level == 0 else _children
    return Page(page_id, level, read(data, count))


def _entries(data: bytes, count: int) -> list[Item]:
    at, items = _PAGE.size, []
    for _ in range(count):
        key_size, flags, ref_size, digest = _ENTRY.unpack_from(data, at)
        key_end = at + _ENTRY.size + key_size
        at, start = key_end + ref_size, at + _ENTRY.size
        items.append(Item(data[start:key_end], digest, 0, 1, flags, data[key_end:at]))
    return items


def _children(data: bytes, count: int) -> list[Item]:
    at, items = _PAGE.size, []
    for _ in range(count):
        key_size, flags, height, size, ref, digest = _CHILD.unpack_from(data, at)
        start = at + _CHILD.size
        at = start + key_size
        items.append(Item(data[start:at], digest, height, size, flags, ref))
    return items
