"""Huang's auction and MUDA against pymarket 0.7.6 (pymarket/generate.py wrote the vectors)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any as Json

import pytest

from energy.mechanisms.book import ASK, BID, Book, Order
from energy.mechanisms.huang import huang
from energy.mechanisms.merit import bounds, merge, net_sides
from energy.mechanisms.muda import LEFT, RIGHT, competitive_price, half_market, half_of, muda
from tests.mechanisms.cases import book, fills, terms

VECTORS = json.loads((Path(__file__).parent / "pymarket" / "vectors.json").read_text())


def orders_of(case: Json) -> list[Order]:
    return [
        Order(BID if buys else ASK, price, seq, user, 1, quantity)
        for seq, (buys, price, quantity, user) in enumerate(case["rows"])
    ]


def trades_of(case: Json) -> dict[int, float]:
    return {int(seq): quantity for seq, quantity in case["trades"].items()}


@pytest.mark.parametrize("case", VECTORS["huang"])
def test_huang(case: Json) -> None:
    """Shares of the gap are whole mWh here: each differs by less than one."""
    outcome, expected = huang(book(orders_of(case)), terms()), trades_of(case)
    got = fills(outcome)
    assert all(abs(got.get(seq, 0) - quantity) < 1 for seq, quantity in expected.items())
    assert set(got) <= set(expected)
    assert all(award.amount == case["buy"] * award.fill_mWh for award in outcome.bids)
    assert all(award.amount == case["sell"] * award.fill_mWh for award in outcome.asks)
    assert sum(quantity for seq, quantity in expected.items() if case["rows"][seq][0]) == pytest.approx(
        outcome.volume_mWh
    )


@pytest.mark.parametrize("case", VECTORS["halves"])
def test_a_half_of_muda(case: Json) -> None:
    found = orders_of(case)
    awards = half_market(book(found), case["price"], terms())
    assert {award.order.seq: award.fill_mWh for award in awards} == trades_of(case)
    dues: dict[int, int] = {}
    for award in awards:
        sign = 1 if award.order.side == BID else -1
        dues[award.order.cell] = dues.get(award.order.cell, 0) + sign * (award.amount - case["price"] * award.fill_mWh)
    assert [dues.get(user, 0) for user in range(6)] == case["fees"]


def test_competitive_prices() -> None:
    """pymarket's price is ours wherever only one clears; it is a price that clears in fewer cases than all."""
    unique = 0
    for case in VECTORS["halves"]:
        found = book(orders_of(case))
        match = merge(*net_sides(found, terms().fees))
        lower, upper = bounds(match, terms())
        if case["own_price"] is not None and match.bids and lower == upper:
            unique += 1
            assert competitive_price(found, terms()) == case["own_price"]
    assert unique >= 30


def test_the_halves_are_a_coin_of_the_seed() -> None:
    count = sum(half_of(cell, b"seed") == LEFT for cell in range(1_000))
    assert 450 <= count <= 550
    assert any(half_of(cell, b"seed") != half_of(cell, b"other") for cell in range(20))


def test_each_half_trades_at_the_others_price() -> None:
    cells = {side: [cell for cell in range(1, 99) if half_of(cell, b"seed") == side][:2] for side in (LEFT, RIGHT)}
    (a, b), (c, d) = cells[LEFT], cells[RIGHT]
    found = [
        Order(BID, 60_000, 1, a, 1, 5),
        Order(ASK, 30_000, 2, b, 1, 5),
        Order(BID, 70_000, 3, c, 1, 5),
        Order(ASK, 34_000, 4, d, 1, 5),
    ]
    outcome = muda(book(found), terms())
    assert {award.order.seq: award.amount // award.fill_mWh for award in outcome.bids} == {1: 52_000, 3: 45_000}
    assert {award.order.seq: award.amount // award.fill_mWh for award in outcome.asks} == {2: 52_000, 4: 45_000}
    assert muda(Book(bids=[], asks=[]), terms()).volume_mWh == 0
