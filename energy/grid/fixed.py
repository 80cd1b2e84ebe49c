"""Fixed point: an integer `value` stands for value / 2^30 p.u.; a product of two at 2^60 is rounded outward."""

from __future__ import annotations

BITS = 30
ONE = 1 << BITS


def floor_div(value: int, by: int) -> int:
    """The greatest integer that is no greater than value / by, by > 0."""
    return value // by


def ceil_div(value: int, by: int) -> int:
    """The least integer that is no less than value / by, by > 0."""
    return -(-value // by)


def ceil_shift(value: int, bits: int) -> int:
    """The least integer that is no less than value / 2^bits."""
    return -(-value >> bits)


def square_range(low: int, high: int) -> tuple[int, int]:
    """The least and greatest square of a number between `low` and `high`."""
    a, b = low * low, high * high
    if low <= 0 <= high:
        return 0, max(a, b)
    return (a, b) if a < b else (b, a)
