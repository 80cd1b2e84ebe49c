"""Caps that the utility cell finds: certified, free of violations, and worth nearly what any AC schedule could be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from energy.grid.optimality import require_near_optimal
from energy.grid.welfare import auction_problem
from energy.market.clearing import BookOrder, Rules, clear, fill_mWh
from energy.mechanisms.book import ASK, BID
from physics.caps import Book, CapSearch, Found, offers_of, outcome, with_set_points
from physics.feeders import sce56
from physics.markets import random_market
from physics.opf import Opf
from physics.powerflow import PowerFlow, grid_of, violations, withdrawals

RULES = Rules(mechanism=1, k_num=1, k_den=2, floor_e4=20_000, cap_e4=80_000)
FIRM = 1


def book_of(limits: tuple[int, int], seed: int, load: int, supply: int) -> Book:
    """A random market of 42 loaded buses as orders, a third of the bids firm."""
    problem = random_market(sce56(*limits), seed, load_permille=load, supply=supply)
    orders = tuple(
        BookOrder(
            BID if block.direction > 0 else ASK,
            block.price_e4,
            at,
            at,
            block.bus,
            block.quantity_mWh,
            FIRM if at % 3 == 0 and block.direction > 0 else 0,
        )
        for at, block in enumerate(problem.blocks)
    )
    tangents = {at: abs(block.reactive_permille) for at, block in enumerate(problem.blocks)}
    return Book(
        net=problem.net, base=problem.base, orders=orders, tangents=tangents, rules=RULES, loss_price_e4=RULES.cap_e4
    )


def filled(book: Book, found: Found) -> list:
    cleared, _ = clear((iter(book.side(BID)), iter(book.side(ASK))), book.rules, found.caps)
    return [
        offer._replace(fill_mWh=fill_mWh(order, cleared, 1000))
        for order, offer in zip(book.orders, offers_of(book), strict=True)
    ]


CASES = [
    ((950, 1050), 0, 100, 6),
    ((950, 1050), 2, 300, 3),
    ((950, 1050), 2, 300, 1),
    ((950, 1050), 5, 100, 6),
    ((970, 1030), 2, 500, 2),
    ((970, 1010), 3, 200, 6),
    ((980, 1050), 1, 600, 1),
]


@pytest.mark.parametrize(("limits", "seed", "load", "supply"), CASES)
def test_nearly_the_best_of_all_ac_schedules(limits: tuple[int, int], seed: int, load: int, supply: int) -> None:
    """98 % of a certified bound over all AC schedules, a price for each bus allowed: the plain relaxation's dual."""
    book = book_of(limits, seed, load, supply)
    assert not outcome(book, {}).certified
    found = CapSearch().search(book)
    assert found is not None
    assert outcome(book, found.caps) == Found(caps=found.caps, welfare=found.welfare, certified=True)
    problem, fills = auction_problem(book.net, book.base, filled(book, found), book.loss_price_e4)
    dual = Opf(gan=False).solve(problem).dual
    gap = require_near_optimal(problem, fills, dual, found.welfare // 50)
    assert gap.size >= 0
    flow = PowerFlow(grid_of(sce56(*limits).feeder))
    energies = [*problem.base]
    for block, fill in zip(problem.blocks, fills, strict=True):
        if block.bus != book.net.bus[0]:
            energies.append(
                type(energies[0])(
                    bus=block.bus, trade_p_mWh=block.direction * fill, trade_q_permille=block.reactive_permille * fill
                )
            )
    assert violations(flow.grid, flow.solve(*withdrawals(flow.grid, energies)), 1e-9) == []


def test_what_the_feeder_bears_needs_no_caps() -> None:
    book = book_of((900, 1100), 0, 300, 1)
    assert outcome(book, {}).certified
    found = CapSearch().search(book)
    assert found is not None
    assert found.welfare >= 0.9999 * outcome(book, {}).welfare


def test_a_baseline_that_breaks_a_limit_has_no_caps() -> None:
    assert CapSearch().search(book_of((950, 1050), 0, 3_000, 1)) is None


@pytest.mark.parametrize(("limits", "seed", "load", "supply"), [((970, 1010), 3, 200, 6), ((980, 1050), 1, 600, 1)])
def test_inverters_let_more_trade(limits: tuple[int, int], seed: int, load: int, supply: int) -> None:
    """Half of the asks' power as reactive power: volt/var control finds set-points within it, and more is certified."""
    book = book_of(limits, seed, load, supply)
    left: dict[int, int] = {}
    for order in book.orders:
        if order.side == ASK:
            left[order.bus] = left.get(order.bus, 0) + order.quantity_mWh // 2
    plain, helped = CapSearch().search(book), CapSearch().search(replace(book, inverters=left))
    assert plain is not None
    assert helped is not None
    assert helped.set_points
    assert all(abs(q) <= left[bus] for bus, q in helped.set_points.items())
    assert helped.welfare > plain.welfare
    judged = outcome(with_set_points(book, helped.set_points), helped.caps)
    assert (judged.certified, judged.welfare) == (True, helped.welfare)
