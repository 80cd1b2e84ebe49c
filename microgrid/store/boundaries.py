"""Where a level's items are cut into pages: a function of the keys alone, and of no key far away.

- A key is *marked* when a digit of its hash is zero (1 of 16). A page begins at a marked key whose predecessor is
  not marked (*hard* boundary): pages have at least two items and 17 on average.
- Whoever picks keys can avoid marks, so where no hard boundary is within `reach` items on either side, pages begin
  where *deterministic coin tossing* (Cole and Vishkin, 1986) says: labels of two rounds over the hashes of three
  neighbours are below 18 and differ between neighbours, so that local maxima are 2 to 34 items apart whatever the
  keys are.

No page has more than about 2 x reach + 36 items, every level has at most half as many pages as items, and a change
moves boundaries only within `reach` + 4 items of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

HASH_BYTES = 32
CONTEXT = 4  # items on either side that decide a soft boundary: three before, one after


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Constants of the tree's shape: part of the state's format, changed by tests only."""

    mark_mask: int = 15
    reach: int = 32

    @property
    def margin(self) -> int:
        """Items beside a change beyond which no boundary can move, with their own context."""
        return 2 * self.reach + 2 * CONTEXT + 2


SHAPE = Shape()


def is_marked(shape: Shape, level: int, key: bytes) -> bool:
    """Whether the key's hash calls for a boundary on this level; another byte of the hash on every level."""
    return not sha256(key).digest()[level % HASH_BYTES] & shape.mark_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive items of one level that are cut anew.

    `first_open`: the stretch does not begin at a hard boundary or at the level's start. `last`: what follows it:
    "end" of the level, a "hard" boundary, or items that are "open". Cuts near an open side are kept from `known`.
    """

    keys: Sequence[bytes]
    marks: Sequence[bool]
    first_open: bool
    last: str
    known: frozenset[int]


def cuts(shape: Shape, stretch: Stretch) -> list[tuple[int, bool]]:
    """Indices at which pages begin, ascending from 0, each with whether the boundary is hard (0: False if open)."""
    marks, count = stretch.marks, len(stretch.keys)
    hard = [i for i in range(1, count) if marks[i] and not marks[i - 1]]
    found = dict.fromkeys(hard, True)
    fences = [CONTEXT - 1 if stretch.first_open else 0, *hard, _end_fence(shape, stretch)]
    for left, right in pairwise(fences):
        if right - left > 2 * shape.reach:
            soft = _soft_cuts(stretch, left + shape.reach + 1, right - shape.reach)
            found.update(dict.fromkeys(soft, False))
    for index in _kept(shape, stretch):
        found.setdefault(index, False)
    found[0] = not stretch.first_open
    return sorted(found.items())


def _end_fence(shape: Shape, stretch: Stretch) -> int:
    """Index such that soft boundaries lie more than `reach` before it."""
    count = len(stretch.keys)
    if stretch.last == "hard":
        return count
    if stretch.last == "open":
        return count - CONTEXT
    return count - 1 + shape.reach  # the level's end is no boundary: only the last item, without successor, is out


def _kept(shape: Shape, stretch: Stretch) -> list[int]:
    low = shape.reach + CONTEXT if stretch.first_open else 0
    high = len(stretch.keys) - (shape.reach + CONTEXT if stretch.last == "open" else 0)
    return sorted(index for index in stretch.known if index < low or index >= high)


def _soft_cuts(stretch: Stretch, low: int, high: int) -> list[int]:
    """Local maxima of the labels at low <= index < high."""
    if low >= high:
        return []
    start = low - (CONTEXT - 1)
    ids = [int.from_bytes(sha256(key).digest()) for key in stretch.keys[start : high + 1]]
    once = [_label(ids[i], ids[i - 1]) for i in range(1, len(ids))]
    twice = [_label(once[i], once[i - 1]) for i in range(1, len(once))]  # twice[j] belongs to index start + j + 2
    return [start + j + 2 for j in range(1, len(twice) - 1) if twice[j - 1] < twice[j] > twice[j + 1]]


def _label(value: int, before: int) -> int:
    """Place of the lowest bit in which two different numbers differ, and that bit of the first."""
    differ = value ^ before
    place = (differ & -differ).bit_length() - 1
    return 2 * place + (value >> place & 1)
