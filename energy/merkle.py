"""RFC 6962 tree hash, grown leaf by leaf: what is kept between blocks are the roots of its complete subtrees."""

from __future__ import annotations

from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def grown(peaks: list[bytes], count: int, leaf: bytes) -> list[bytes]:
    """The subtree roots after one more leaf; `count` leaves are there before."""
    result, top = list(peaks), leaf_hash(leaf)
    while count & 1:
        top = inner_hash(result.pop(), top)
        count >>= 1
    return [*result, top]


def root_of(peaks: list[bytes]) -> bytes:
    """Root of the tree whose complete subtrees are `peaks`, largest first."""
    if not peaks:
        return EMPTY_ROOT
    top = peaks[-1]
    for peak in reversed(peaks[:-1]):
        top = inner_hash(peak, top)
    return top
