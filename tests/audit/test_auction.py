"""The audit's auction against the chain's: two implementations that share no line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsmg.audit import auction, mechanisms
from cosmos_wire.protos import market as pb
from energy.market import clearing, mechanism
from energy.mechanisms.book import Book, Order, Terms
from energy.mechanisms.catalogue import CATALOGUE

FLOOR, CAP = 20_000, 80_000
PERMILLE = st.sampled_from([0, 1, 333, 500, 999, 1000])


@st.composite
def books(draw: st.DrawFn) -> list[auction.Order]:
    """Few prices and quantities, so that ties and exact fills are common."""
    price = st.integers(0, draw(st.integers(1, 8))).map(lambda step: FLOOR + step * 7_500)
    row = st.tuples(st.sampled_from([1, 2]), price, st.integers(1, draw(st.sampled_from([3, 9, 10**12]))))
    rows = draw(st.lists(row, max_size=14))
    return [
        auction.Order(side=side, price_e4=price, seq=seq, cell=seq % 3 + 1, quantity_mWh=mWh)
        for seq, (side, price, mWh) in enumerate(rows, 1)
    ]


def chains_order(order: auction.Order) -> clearing.BookOrder:
    return clearing.BookOrder(order.side, order.price_e4, order.seq, order.cell, 0, order.quantity_mWh)


@settings(max_examples=600, deadline=None)
@given(book=books(), mechanism=st.integers(1, 3), k=st.integers(0, 4), factor=PERMILLE)
def test_both_clear_alike(book: list[auction.Order], mechanism: int, k: int, factor: int) -> None:
    band = {"floor_e4": FLOOR, "cap_e4": CAP, "k_num": k, "k_den": 4, "mechanism": mechanism}
    mine = auction.run(book, auction.Rules(**band))
    sides = [iter(map(chains_order, auction.sorted_side(book, side))) for side in (1, 2)]
    theirs, _ = clearing.clear((sides[0], sides[1]), clearing.Rules(**band), {})
    assert (mine.price_e4, mine.volume_mWh, str(mine.welfare)) == (
        theirs.price_e4,
        theirs.volume_mWh,
        theirs.welfare,
    )
    for order in book:
        fill = mine.fills.get(order.seq, 0) * factor // 1000
        assert fill == clearing.fill_mWh(chains_order(order), theirs, factor)
        if fill:
            assert mine.price_of(order) == clearing.own_price_e4(chains_order(order), theirs)


def test_an_empty_book_has_the_middle_of_the_band() -> None:
    rules = auction.Rules(mechanism=pb.MECHANISM_UNIFORM_K, k_num=1, k_den=2, floor_e4=FLOOR, cap_e4=CAP)
    assert auction.run([], rules).price_e4 == 50_000


@pytest.mark.parametrize("kind", sorted(mechanism.NAMES))
@settings(max_examples=60, deadline=None)
@given(
    book=books(),
    k=st.integers(0, 4),
    scores=st.lists(st.integers(0, 1000), min_size=4, max_size=4),
    thresholds=st.dictionaries(st.integers(1, 14), st.integers(0, 1000)),
)
def test_every_mechanism_clears_alike(
    kind: int, book: list[auction.Order], k: int, scores: list[int], thresholds: dict[int, int]
) -> None:
    """Amounts to the unit, against the chain's rules in energy.mechanisms."""
    rules = auction.Rules(mechanism=kind, k_num=k, k_den=4, floor_e4=FLOOR, cap_e4=CAP)
    by_cell = dict(enumerate(scores))
    facts = mechanisms.Facts(scores=by_cell, thresholds=thresholds, tariff_e4=50_000, chain_id="mg-1", slot=7)
    mine = mechanisms.run(book, rules, facts)
    terms = Terms(
        floor_e4=FLOOR,
        cap_e4=CAP,
        k_num=k,
        k_den=4,
        tariff_e4=50_000,
        scores=by_cell,
        thresholds=thresholds,
        seed=mechanism.muda_seed("mg-1", 7),
    )
    theirs = CATALOGUE[mechanism.NAMES[kind]].rule(Book.of(Order(*chains_order(order)) for order in book), terms)
    awards = (*theirs.bids, *theirs.asks)
    assert mine.fills == {award.order.seq: award.fill_mWh for award in awards}
    by_seq = {order.seq: order for order in book}
    amounts = {seq: mine.amount_of(by_seq[seq], fill) for seq, fill in mine.fills.items()}
    assert amounts == {award.order.seq: award.amount for award in awards}
    assert (mine.volume_mWh, mine.welfare) == (theirs.volume_mWh, theirs.welfare)
    assert mine.subsidy == max(0, -theirs.surplus)
    if mine.amounts is not None:
        assert mine.price_e4 == theirs.price_e4
