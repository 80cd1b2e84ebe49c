"""RFC 6962's tree, as CometBFT and settlement use it: whole, or grown leaf by leaf."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

LEAF, INNER = b"\0", b"\1"
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of a leaf."""
    return sha256(LEAF + leaf).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees."""
    return sha256(INNER + left + right).digest()


def split(count: int) -> int:
    """Largest power of two below `count`: how many of two or more leaves go left."""
    return 1 << (count - 1).bit_length() - 1


def merkle_root(items: Sequence[bytes]) -> bytes:
    """Root over the items in their order; of none, the hash of nothing."""
    return root_of_hashes([leaf_hash(item) for item in items])


def root_of_hashes(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:  # a node without a sibling moves up as it is, which gives RFC 6962's split
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [inner_hash(left, right) for left, right in pairs] + level[len(level) - len(level) % 2 :]
    return level[0]


def grown(peaks: Sequence[bytes], count: int, leaf: bytes) -> list[bytes]:
    """Roots of the complete subtrees after one more leaf; `count` leaves are there before."""
    result, top = list(peaks), leaf_hash(leaf)
    while count & 1:
        top = inner_hash(result.pop(), top)
        count >>= 1
    return [*result, top]


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """Root of the tree whose complete subtrees are `peaks`, largest first."""
    if not peaks:
        return EMPTY_ROOT
    top = peaks[-1]
    for peak in reversed(peaks[:-1]):
        top = inner_hash(peak, top)
    return top
