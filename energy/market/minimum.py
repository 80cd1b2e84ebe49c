"""Minimum fills: an order gets at least what it asked for, or nothing.

    clear; while an order gets more than nothing and less than its minimum: drop the one that misses most, clear again

At equal shortfall the later order goes. After `PASSES` orders every order that has a minimum is dropped: that ends
it, for nobody else can miss one. Dropped orders are named in the clearing; the price and the fills satisfy C1 on the
book without them. A dropped order may be better than the price (nothing says that welfare can't be raised by another
choice of orders: that is an integer program); none is filled at a loss. Decision: docs/adr/0024-minimum-fills.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

PASSES = 8
Dropped = tuple[int, ...]  # sequences, ascending
Fills = Callable[[int], int]  # sequence -> mWh
T = TypeVar("T")


def cleared(clear: Callable[[Dropped], T], fills_of: Callable[[T], Fills], least: Mapping[int, int]) -> T:
    """Clear without the orders whose minimum can't be had; `least` is mWh by sequence."""
    dropped: Dropped = ()
    for _ in range(PASSES):
        found = clear(dropped)
        worst = worst_missed(fills_of(found), least)
        if worst is None:
            return found
        dropped = tuple(sorted((*dropped, worst)))
    found = clear(dropped)
    if worst_missed(fills_of(found), least) is None:
        return found
    return clear(tuple(sorted(least)))


def worst_missed(fills: Fills, least: Mapping[int, int]) -> int | None:
    """The order that misses most of its minimum, the latest of equals; None when none misses any."""
    missed = [(wanted - fills(seq), seq) for seq, wanted in least.items() if 0 < fills(seq) < wanted]
    return max(missed)[1] if missed else None
