"""VCG and multi-unit Vickrey against their definitions, by exhaustive search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from hypothesis import given, settings

from energy.mechanisms.book import ASK, BID, Order
from energy.mechanisms.fees import FeeTable
from energy.mechanisms.uniform import uniform
from energy.mechanisms.vickrey import vcg, vickrey
from tests.mechanisms.cases import CAP, book, gain_of, orders, tables, terms
from tests.mechanisms.optimum import greatest_welfare


def best_by_search(found: Sequence[Order]) -> int:
    """Every combination of fills, no fees."""
    best = 0
    for fill in product(*(range(order.quantity_mWh + 1) for order in found)):
        signs = [1 if order.side == BID else -1 for order in found]
        if sum(s * x for s, x in zip(signs, fill, strict=True)) == 0:
            best = max(best, sum(s * o.price_e4 * x for s, o, x in zip(signs, found, fill, strict=True)))
    return best


@settings(max_examples=32, deadline=None)
@given(found=orders(most=5, quantity=3))
def test_vcg_gains_are_what_a_cell_adds(found: list[Order]) -> None:
    outcome = vcg(book(found), terms())
    best = best_by_search(found)
    assert outcome.welfare == best
    for cell in {order.cell for order in found}:
        others = best_by_search([order for order in found if order.cell != cell])
        assert gain_of(outcome, cell, found) == best - others


@settings(max_examples=32, deadline=None)
@given(found=orders(most=9), fees=tables())
def test_vcg_with_fees_by_an_lp(found: list[Order], fees: FeeTable) -> None:
    outcome = vcg(book(found), terms(fees))
    best = greatest_welfare(found, fees)
    for cell in {order.cell for order in found}:
        others = greatest_welfare([order for order in found if order.cell != cell], fees)
        assert gain_of(outcome, cell, found) == best - others


@settings(max_examples=100, deadline=None)
@given(found=orders())
def test_sellers_get_the_lowest_rejected_asks_of_the_others(found: list[Order]) -> None:
    outcome = vickrey(book(found), terms())
    efficient = uniform(book(found), terms())
    assert [award[:3] for award in outcome.bids] == [award[:3] for award in efficient.bids]
    sold = {award.order.seq: award.fill_mWh for award in outcome.asks}
    asks = list(book(found).asks)
    for cell in {award.order.cell for award in outcome.asks}:
        units = sum(fill for seq, fill in sold.items() if any(o.seq == seq and o.cell == cell for o in asks))
        rejected = [o.price_e4 for o in asks if o.cell != cell for _ in range(o.quantity_mWh - sold.get(o.seq, 0))]
        paid = sum(sorted(rejected + [CAP] * units)[:units])
        assert sum(award.amount for award in outcome.asks if award.order.cell == cell) == paid
    assert outcome.surplus <= 0


def test_orders_of_price_zero_share_nothing() -> None:
    """A band may start at 0; the weights of a cell's bids are then all 0."""
    found = [Order(BID, 0, 1, 1, 1, 2), Order(BID, 0, 2, 1, 1, 2), Order(ASK, 0, 3, 2, 1, 4)]
    zero = replace(terms(), floor_e4=0)
    for rule in (vcg, vickrey):
        outcome = rule(book(found), zero)
        assert (outcome.volume_mWh, outcome.paid) == (4, 0)


def test_by_hand() -> None:
    found = [
        Order(BID, 60_000, 1, 1, 1, 2),
        Order(BID, 50_000, 2, 2, 1, 1),
        Order(ASK, 20_000, 3, 3, 1, 2),
        Order(ASK, 30_000, 4, 4, 1, 1),
        Order(ASK, 55_000, 5, 5, 1, 1),
    ]
    outcome = vcg(book(found), terms())
    paid = {award.order.seq: award.amount for award in outcome.bids}
    got = {award.order.seq: award.amount for award in outcome.asks}
    # Without cell 1: cell 2 buys at 20,000: 30,000. Without cell 2: 2 x 60,000 - 40,000 = 80,000. W = 100,000.
    assert paid == {1: 120_000 - 70_000, 2: 50_000 - 20_000 + 0}
    # Without cell 3: 60,000 - 30,000 + 60,000 - 55,000 = 35,000. Without cell 4: 120,000 - 40,000 = 80,000.
    assert got == {3: 40_000 + 65_000, 4: 30_000 + 20_000}
    assert outcome.surplus == 80_000 - 155_000
    # Two units of cell 3 are replaced by 55,000 and, the book being short, the cap; cell 4's by 55,000.
    sellers = {award.order.seq: award.amount for award in vickrey(book(found), terms()).asks}
    assert sellers == {3: 55_000 + CAP, 4: 55_000}
