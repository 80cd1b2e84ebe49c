"""Books and terms for the tests of the mechanisms."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from energy.mechanisms.book import ASK, BID, Book, Order, Terms
from energy.mechanisms.fees import NO_FEES, FeeTable, Levies, fee_table

FLOOR, CAP = 20_000, 80_000
BUSES = 4


@st.composite
def orders(draw: st.DrawFn, most: int = 12, quantity: int = 9, steps: int = 6) -> list[Order]:
    """Few prices, so that ties are common; cells with several orders, on both sides too."""
    row = st.tuples(
        st.sampled_from([BID, ASK]),
        st.integers(0, steps).map(lambda step: FLOOR + step * (CAP - FLOOR) // steps),
        st.integers(1, quantity),
        st.integers(1, BUSES),
        st.integers(1, 8),
    )
    rows = draw(st.lists(row, max_size=most))
    return [Order(side, price, seq, cell, bus, mWh) for seq, (side, price, mWh, bus, cell) in enumerate(rows, start=1)]


@st.composite
def distinct(draw: st.DrawFn, most: int = 8, quantity: int = 9) -> list[Order]:
    """No two orders have one price, and every order is a cell of its own."""
    found = draw(orders(most=most, quantity=quantity))
    shifts = draw(st.permutations(range(len(found))))
    return [
        o._replace(price_e4=min(CAP, max(FLOOR, o.price_e4 - 20 + 37 * shift)), cell=o.seq)
        for o, shift in zip(found, shifts, strict=True)
    ]


@st.composite
def tables(draw: st.DrawFn) -> FeeTable:
    """None, one area with a fee, or two or three areas with any matrix."""
    size = draw(st.integers(0, 3))
    if size == 0:
        return NO_FEES
    fee = st.sampled_from([0, 500, 3_000, 10_000, 20_000])
    rows = draw(st.lists(st.lists(fee, min_size=size, max_size=size), min_size=size, max_size=size))
    area_of_bus = {bus: draw(st.integers(0, size - 1)) for bus in range(1, BUSES + 1)}
    kinds = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    levies = Levies(dno_e4=draw(fee), mo_e4=draw(fee), kinds=kinds)
    return fee_table(area_of_bus, rows, levies)


def terms(fees: FeeTable = NO_FEES, k: tuple[int, int] = (1, 2), **more: object) -> Terms:
    fields = {"floor_e4": FLOOR, "cap_e4": CAP, "tariff_e4": 50_000, "seed": b"seed", **more}
    return Terms(k_num=k[0], k_den=k[1], fees=fees, **fields)  # type: ignore[arg-type]  # fields of several types


def book(found: Sequence[Order]) -> Book:
    return Book.of(found)


def fills(outcome: object) -> dict[int, int]:
    return {a.order.seq: a.fill_mWh for a in (*outcome.bids, *outcome.asks)}  # type: ignore[attr-defined]  # an Outcome


def gain_of(outcome: object, cell: int, truth: Sequence[Order]) -> int:
    """What a cell gains by its true prices."""
    price = {order.seq: order.price_e4 for order in truth}
    total = 0
    for award in (*outcome.bids, *outcome.asks):  # type: ignore[attr-defined]  # an Outcome
        if award.order.cell == cell:
            sign = 1 if award.order.side == BID else -1
            total += sign * (price[award.order.seq] * award.fill_mWh - award.amount)
    return total
