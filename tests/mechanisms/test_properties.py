"""What each mechanism promises, as properties: nobody loses, the budget, truthfulness where it is claimed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from energy.errors import FeesMalformed, MechanismLimit
from energy.mechanisms.book import ASK, BID, Book, Order
from energy.mechanisms.catalogue import ALL, CATALOGUE, EXACT, SINGLE, SUBSIDY, Entry
from energy.mechanisms.certificate import sound_fault
from energy.mechanisms.fees import FeeTable, Levies, fee_table
from tests.mechanisms.cases import CAP, FLOOR, book, distinct, fills, gain_of, orders, tables, terms

NAMES = sorted(CATALOGUE)
scores = st.dictionaries(st.integers(1, 12), st.integers(0, 1000))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=48, deadline=None)
@given(found=orders(), fees=tables(), known=scores, wanted=scores)
def test_every_outcome_is_sound_and_its_budget_is_as_claimed(
    name: str, found: list[Order], fees: FeeTable, known: dict[int, int], wanted: dict[int, int]
) -> None:
    entry, t = CATALOGUE[name], replace(terms(fees), scores=known, thresholds=wanted)
    outcome = entry.rule(book(found), t)
    assert sound_fault(book(found), outcome) is None
    assert entry.fault(book(found), t, outcome) is None
    if entry.budget == EXACT:
        assert outcome.surplus == 0
    elif entry.budget == SUBSIDY:
        assert outcome.surplus <= 0 or name == "vcg"
    else:
        assert outcome.surplus >= 0
    assert FLOOR <= outcome.price_e4 <= CAP


def test_a_price_of_vcg_stays_in_the_band_where_a_cell_buys_and_sells() -> None:
    """Its asks get what its bids gained: on average 9.5 here, above the cap of 8."""
    rows = [*((BID, 20_000, 1, 1) for _ in range(7)), (BID, 70_000, 1, 2), (ASK, 20_000, 1, 1), (ASK, 20_000, 2, 1)]
    found = [Order(side, price, seq, cell, 1, mWh) for seq, (side, price, cell, mWh) in enumerate(rows, start=1)]
    outcome = CATALOGUE["vcg"].rule(book(found), terms())
    assert outcome.earned > CAP * outcome.volume_mWh
    assert outcome.price_e4 == CAP


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(found=orders(), fees=tables(), shuffled=st.randoms(use_true_random=False))
def test_the_order_of_arrival_in_memory_changes_nothing(
    name: str, found: list[Order], fees: FeeTable, shuffled: object
) -> None:
    again = list(found)
    shuffled.shuffle(again)  # type: ignore[attr-defined]  # a Random
    rule = CATALOGUE[name].rule
    assert rule(book(found), terms(fees)) == rule(book(again), terms(fees))


def tries(order: Order, lie: int) -> Order:
    """The same order at another price inside the band."""
    return order._replace(price_e4=lie)


TRUTHFUL = [name for name in NAMES if CATALOGUE[name].truthful == ALL]
SINGLE_ORDERS = [name for name in NAMES if CATALOGUE[name].truthful == SINGLE]


@pytest.mark.parametrize("name", SINGLE_ORDERS)
@settings(max_examples=120, deadline=None)
@given(found=distinct(quantity=3_000), fees=tables(), lie=st.integers(FLOOR, CAP), at=st.integers(0, 7))
def test_no_single_order_gains_by_a_false_price(
    name: str, found: list[Order], fees: FeeTable, lie: int, at: int
) -> None:
    assume(at < len(found))
    told = [*found[:at], tries(found[at], lie), *found[at + 1 :]]
    entry, t, cell = CATALOGUE[name], terms(fees), found[at].cell
    honest, other = entry.rule(book(found), t), entry.rule(book(told), t)
    assert gain_of(other, cell, found) <= gain_of(honest, cell, found)


def test_a_mwh_of_rounding_rewards_no_lie_in_huangs_auction() -> None:
    """What can't be shared out evenly goes by sequence: by price, the second bid gained one mWh by bidding more."""
    rows = [(BID, 73_665, 465_607), (BID, 67_388, 1_442_701), (BID, 48_979, 1_475_098)]
    rows += [(ASK, 21_263, 1_503_459), (ASK, 21_597, 725_503)]
    found = [Order(side, price, seq, seq, 1, mWh) for seq, (side, price, mWh) in enumerate(rows, start=1)]
    told = [found[0], tries(found[1], CAP), *found[2:]]
    rule = CATALOGUE["huang"].rule
    assert fills(rule(book(told), terms())) == fills(rule(book(found), terms()))


@pytest.mark.parametrize("name", TRUTHFUL)
@settings(max_examples=100, deadline=None)
@given(found=orders(most=8), fees=tables(), lie=st.integers(FLOOR, CAP), at=st.integers(0, 7))
def test_no_cell_gains_by_a_false_price(name: str, found: list[Order], fees: FeeTable, lie: int, at: int) -> None:
    """Cells with several orders too, as long as they are on one side; lies of one order at a time."""
    assume(at < len(found))
    cell = found[at].cell
    assume(all(order.side == found[at].side for order in found if order.cell == cell))
    told = [*found[:at], tries(found[at], lie), *found[at + 1 :]]
    entry, t = CATALOGUE[name], terms(fees)
    honest, other = entry.rule(book(found), t), entry.rule(book(told), t)
    assert gain_of(other, cell, found) <= gain_of(honest, cell, found)


@settings(max_examples=100, deadline=None)
@given(
    found=orders(most=8),
    fees=tables(),
    lies=st.lists(st.integers(FLOOR, CAP), min_size=8, max_size=8),
    cell=st.integers(1, 8),
)
def test_vcg_no_cell_gains_by_any_false_book(found: list[Order], fees: FeeTable, lies: list[int], cell: int) -> None:
    """All orders of a cell at once, on both sides."""
    told = [o._replace(price_e4=lie) if o.cell == cell else o for o, lie in zip(found, lies, strict=False)]
    rule = CATALOGUE["vcg"].rule
    assert gain_of(rule(book(told), terms(fees)), cell, found) <= gain_of(rule(book(found), terms(fees)), cell, found)


@settings(max_examples=160, deadline=None)
@given(found=distinct(quantity=1), fees=tables(), lie=st.integers(FLOOR, CAP))
def test_trade_reduction_is_truthful_for_single_units(found: list[Order], fees: FeeTable, lie: int) -> None:
    assume(found)
    told = [tries(found[0], lie), *found[1:]]
    assume(len({order.price_e4 for order in told}) == len(told))
    rule, cell = CATALOGUE["trade-reduction"].rule, found[0].cell
    assert gain_of(rule(book(told), terms(fees)), cell, found) <= gain_of(rule(book(found), terms(fees)), cell, found)


@settings(max_examples=120, deadline=None)
@given(found=orders(most=8), fees=tables(), lie=st.integers(FLOOR, CAP), at=st.integers(0, 7))
def test_vickrey_is_truthful_for_sellers_of_a_fixed_demand(
    found: list[Order], fees: FeeTable, lie: int, at: int
) -> None:
    """Every bid at the cap; no cell sells and buys."""
    fixed = [o._replace(price_e4=CAP, cell=o.cell + 100) if o.side == BID else o for o in found]
    assume(at < len(fixed) and fixed[at].side == ASK)
    told = [*fixed[:at], tries(fixed[at], lie), *fixed[at + 1 :]]
    rule, cell = CATALOGUE["vickrey"].rule, fixed[at].cell
    assert gain_of(rule(book(told), terms(fees)), cell, fixed) <= gain_of(rule(book(fixed), terms(fees)), cell, fixed)


def manipulable(entry: Entry, found: list[Order], lie: int) -> bool:
    told = [tries(found[0], lie), *found[1:]]
    cell, t = found[0].cell, terms()
    return gain_of(entry.rule(book(told), t), cell, found) > gain_of(entry.rule(book(found), t), cell, found)


LIAR = [Order(BID, 70_000, 1, 1, 1, 5), Order(ASK, 30_000, 2, 2, 1, 5), Order(ASK, 36_000, 3, 3, 1, 5)]


@pytest.mark.parametrize("name", ["uniform-k", "fro", "discriminatory-k"])
def test_a_false_bid_pays_where_nobody_claims_otherwise(name: str) -> None:
    assert manipulable(CATALOGUE[name], LIAR, 31_000)


@pytest.mark.parametrize("name", ["lao", "greedy"])
def test_a_false_ask_pays_where_nobody_claims_otherwise(name: str) -> None:
    seller_first = [LIAR[1], LIAR[0], LIAR[2]]
    assert manipulable(CATALOGUE[name], seller_first, 35_000)


def test_elastic_demand_makes_multi_unit_vickrey_a_lottery_for_liars() -> None:
    """A seller that bids below its cost draws more demand into the trade than truth would."""
    found = [Order(ASK, 50_000, 1, 1, 1, 5), Order(BID, 45_000, 2, 2, 1, 5)]
    assert manipulable(CATALOGUE["vickrey"], found, 40_000)


def many(count: int) -> Book:
    return book([Order(BID if seq % 2 else ASK, 50_000, seq, seq, 1, 1) for seq in range(1, count + 1)])


@pytest.mark.parametrize("name", ["vcg", "vickrey"])
def test_more_than_200_orders_are_refused(name: str) -> None:
    assert CATALOGUE[name].rule(many(200), terms()).volume_mWh == 100
    with pytest.raises(MechanismLimit, match=r"at most 200 orders .* got 201"):
        CATALOGUE[name].rule(many(201), terms())


@pytest.mark.parametrize(
    ("areas", "rows", "levies", "said"),
    [
        ({}, [], Levies(), "number of fee areas"),
        ({}, [[0] * 9] * 9, Levies(), "number of fee areas"),
        ({}, [[0, 0], [0]], Levies(), "2 rows of 2"),
        ({}, [[0]], Levies(kinds=(3,)), "kinds"),
        ({5: 1}, [[0]], Levies(), "fee area of bus 5"),
        ({70_000: 0}, [[0]], Levies(), "bus of a fee area"),
        ({}, [[-1]], Levies(), "fee_e4"),
        ({}, [[0]], Levies(dno_e4=10**7 + 1), "fee_e4"),
    ],
)
def test_wrong_fee_tables_are_refused(areas: dict[int, int], rows: list[list[int]], levies: Levies, said: str) -> None:
    with pytest.raises(FeesMalformed, match=said):
        fee_table(areas, rows, levies)


@settings(max_examples=60, deadline=None)
@given(found=orders(), known=scores, wanted=scores)
def test_greedy_serves_nobody_below_the_threshold(
    found: list[Order], known: dict[int, int], wanted: dict[int, int]
) -> None:
    t = replace(terms(), scores=known, thresholds=wanted)
    outcome = CATALOGUE["greedy"].rule(book(found), t)
    needs = sorted(wanted.get(award.order.seq, 0) for award in outcome.bids)
    has = sorted(known.get(award.order.cell, 0) for award in outcome.asks)
    if needs:
        assert max(has) >= max(needs)
    assert fills(outcome) == unit_greedy(found, known, wanted)


def unit_greedy(found: list[Order], known: dict[int, int], wanted: dict[int, int]) -> dict[int, int]:
    """The seed's rule one mWh at a time."""
    left = {order.seq: order.quantity_mWh for order in found}
    asks = sorted((o for o in found if o.side == ASK), key=lambda o: (o.price_e4, -known.get(o.cell, 0), o.seq))
    got: dict[int, int] = {}
    for bid in sorted((o for o in found if o.side == BID), key=lambda o: (-o.price_e4, o.seq)):
        for ask in asks:
            while left[bid.seq] and left[ask.seq] and ask.price_e4 <= bid.price_e4:
                if known.get(ask.cell, 0) < wanted.get(bid.seq, 0):
                    break
                for seq in (bid.seq, ask.seq):
                    left[seq] -= 1
                    got[seq] = got.get(seq, 0) + 1
    return got
