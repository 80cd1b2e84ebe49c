"""The efficient mechanisms against an LP, against the chain's own merge and its C1, and against unit curves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.protos import market as pb
from energy.market.certificate import check_uniform
from energy.market.clearing import BookOrder, Rules, Trade, clear, fill_mWh
from energy.mechanisms.book import ASK, BID, Award, Order, Outcome
from energy.mechanisms.catalogue import CATALOGUE
from energy.mechanisms.certificate import uniform_fault
from energy.mechanisms.discriminatory import discriminatory
from energy.mechanisms.fees import NO_FEES, FeeTable, Levies, fee_table
from energy.mechanisms.reduction import trade_reduction
from energy.mechanisms.transport import edges, prices, solve
from energy.mechanisms.uniform import fro, lao, uniform
from energy.mechanisms.vickrey import welfare
from tests.mechanisms.cases import BUSES, CAP, FLOOR, book, fills, orders, tables, terms
from tests.mechanisms.optimum import greatest_welfare, solved

ks = st.tuples(st.integers(0, 4), st.just(4))


@settings(max_examples=60, deadline=None)
@given(found=orders(), fees=tables())
def test_the_trade_is_the_lps_optimum(found: list[Order], fees: FeeTable) -> None:
    best = greatest_welfare(found, fees)
    assert welfare(book(found), fees) == best
    for name, entry in CATALOGUE.items():
        got = entry.rule(book(found), terms(fees)).welfare
        assert got == best if entry.efficient else got <= best, name


def chain_clear(found: list[Order], k: tuple[int, int], mechanism: int) -> tuple[pb.Clearing, dict[int, int]]:
    rules = Rules(mechanism=mechanism, k_num=k[0], k_den=k[1], floor_e4=FLOOR, cap_e4=CAP)
    mine = book(found)
    sides = [[BookOrder(*order) for order in side] for side in (mine.bids, mine.asks)]
    clearing, _ = clear((iter(sides[0]), iter(sides[1])), rules, {})
    got = {o.seq: fill_mWh(o, clearing, 1000) for side in sides for o in side}
    return clearing, {seq: fill for seq, fill in got.items() if fill}


@settings(max_examples=120, deadline=None)
@given(found=orders(), k=ks)
def test_without_fees_it_is_the_chains_own_clearing(found: list[Order], k: tuple[int, int]) -> None:
    outcome = uniform(book(found), terms(k=k))
    clearing, expected = chain_clear(found, k, pb.MECHANISM_UNIFORM_K)
    assert fills(outcome) == expected
    assert outcome.price_e4 == clearing.price_e4
    assert outcome.prices is not None
    assert (outcome.prices.buy_e4, outcome.prices.sell_e4) == ((clearing.price_e4,), (clearing.price_e4,))
    rules = Rules(mechanism=pb.MECHANISM_UNIFORM_K, k_num=k[0], k_den=k[1], floor_e4=FLOOR, cap_e4=CAP)
    trades = [Trade(BookOrder(*order), expected.get(order.seq, 0)) for order in found]
    assert check_uniform(trades, outcome.price_e4, rules) is None


@settings(max_examples=120, deadline=None)
@given(found=orders())
def test_without_fees_trade_reduction_is_the_chains(found: list[Order]) -> None:
    outcome = trade_reduction(book(found), terms())
    clearing, expected = chain_clear(found, (1, 2), pb.MECHANISM_TRADE_REDUCTION)
    assert fills(outcome) == expected
    for award in outcome.bids:
        assert award.amount == clearing.bid_price_e4 * award.fill_mWh
    for award in outcome.asks:
        assert award.amount == clearing.ask_price_e4 * award.fill_mWh


@settings(max_examples=100, deadline=None)
@given(found=orders(), fees=tables(), k=ks)
def test_uniform_outcomes_hold_c1_with_area_prices(found: list[Order], fees: FeeTable, k: tuple[int, int]) -> None:
    t = terms(fees, k)
    assert uniform_fault(book(found), t, uniform(book(found), t)) is None
    ends = {"lao": replace(t, k_num=0, k_den=1), "fro": replace(t, k_num=1, k_den=1)}
    assert uniform_fault(book(found), ends["lao"], lao(book(found), t)) is None
    assert uniform_fault(book(found), ends["fro"], fro(book(found), t)) is None
    assert lao(book(found), t).earned <= uniform(book(found), t).earned <= fro(book(found), t).earned


@settings(max_examples=25, deadline=None)
@given(found=orders(), fees=tables())
def test_the_price_vectors_are_the_ends_of_all_that_support_the_trade(found: list[Order], fees: FeeTable) -> None:
    """Each component of the least vector is the least that an LP over all supporting vectors finds, and alike above."""
    mine, t = book(found), terms(fees)
    trade = solve(mine, fees)
    ends = edges(mine.bids, trade.bid_fills, fees), edges(mine.asks, trade.ask_fills, fees)
    low, high = prices(ends, trade.flows, t)
    rows = support_rows(ends, trade.flows, fees)
    size = 2 * fees.areas
    for at, (least, most) in enumerate(zip((*low.buy_e4, *low.sell_e4), (*high.buy_e4, *high.sell_e4), strict=True)):
        unit = [float(i == at) for i in range(size)]
        assert round(solved(unit, [CAP] * size, rows)) == least
        assert round(-solved([-value for value in unit], [CAP] * size, rows)) == most


def support_rows(ends: object, flows: object, fees: FeeTable) -> list[tuple[dict[int, float], float, float]]:
    n, inf = fees.areas, float("inf")
    bids, asks = ends  # type: ignore[misc]  # a pair of lists
    rows: list[tuple[dict[int, float], float, float]] = []
    for j in range(n):
        low = max([FLOOR] + ([bids[j].open.price_e4] if bids[j].open else []))
        high = min([CAP] + ([bids[j].last.price_e4] if bids[j].last else []))
        rows.append(({j: 1.0}, low, high))
        low = max([FLOOR] + ([asks[j].last.price_e4] if asks[j].last else []))
        high = min([CAP] + ([asks[j].open.price_e4] if asks[j].open else []))
        rows.append(({n + j: 1.0}, low, high))
        for i in range(n):
            fee = fees.pair_e4[i][j]
            tight = flows[i][j] > 0  # type: ignore[index]  # a matrix
            rows.append(({j: 1.0, n + i: -1.0}, fee if tight else -inf, fee))
    return rows


@settings(max_examples=80, deadline=None)
@given(found=orders(), k=ks)
def test_discriminatory_pairs_unit_by_unit(found: list[Order], k: tuple[int, int]) -> None:
    bids = [o for o in book(found).bids for _ in range(o.quantity_mWh)]
    asks = [o for o in book(found).asks for _ in range(o.quantity_mWh)]
    amounts: dict[int, int] = {}
    for bid, ask in zip(bids, asks, strict=False):
        if bid.price_e4 < ask.price_e4:
            break
        price = ask.price_e4 + k[0] * (bid.price_e4 - ask.price_e4) // k[1]
        for seq in (bid.seq, ask.seq):
            amounts[seq] = amounts.get(seq, 0) + price
    outcome = discriminatory(book(found), terms(k=k))
    assert {a.order.seq: a.amount for a in (*outcome.bids, *outcome.asks)} == amounts


def test_area_prices_by_hand() -> None:
    """The cheap ask serves nine units abroad for 2,000 each, one at home for 100; the first bid is marginal."""
    fees = fee_table({1: 0, 2: 1}, [[100, 2_000], [2_000, 100]], Levies())
    rows = [(BID, 40_000, 6, 1), (BID, 60_000, 9, 2), (ASK, 30_000, 10, 1), (ASK, 50_000, 5, 2), (BID, 21_000, 3, 1)]
    found = [Order(side, price, seq, seq, bus, mWh) for seq, (side, price, mWh, bus) in enumerate(rows, start=1)]
    outcome = uniform(book(found), terms(fees))
    assert fills(outcome) == {1: 1, 2: 9, 3: 10}
    assert outcome.prices is not None
    assert outcome.prices.buy_e4 == (40_000, 41_900)
    assert outcome.prices.sell_e4 == (39_900, 45_900)  # area 2: anything in 41,800..50,000
    assert (outcome.fees, outcome.surplus) == (100 + 9 * 2_000, 0)
    assert outcome.price_e4 == 39_900
    assert [(award.order.seq, award.fee) for award in outcome.bids] == [(2, 18_000), (1, 100)]


def tampered(outcome: Outcome) -> list[tuple[str, Outcome]]:
    """One lie each."""
    bid, ask = outcome.bids[0], outcome.asks[0]
    assert outcome.prices is not None
    buy, sell = outcome.prices
    rest_bids, rest_asks = outcome.bids[1:], outcome.asks[1:]
    other = (tuple(value + 1 for value in buy), tuple(value + 1 for value in sell))
    less = bid._replace(fill_mWh=bid.fill_mWh - 1, amount=bid.amount - buy[0])
    return [
        ("bought", replace(outcome, bids=rest_bids)),
        ("two awards", replace(outcome, bids=(bid, *outcome.bids))),
        ("not in the book", replace(outcome, bids=(bid._replace(order=bid.order._replace(price_e4=1)), *rest_bids))),
        ("has to pay", replace(outcome, bids=(bid._replace(amount=-1), *rest_bids))),
        ("has to get", replace(outcome, asks=(ask._replace(amount=ask.order.price_e4 * ask.fill_mWh - 1), *rest_asks))),
        ("not its area's price", replace(outcome, bids=(bid._replace(amount=bid.amount - 1), *rest_bids))),
        ("fill has to be", replace(outcome, bids=(bid._replace(fill_mWh=10**6), *rest_bids))),
        ("fee", replace(outcome, bids=(bid._replace(fee=bid.fee + 1), *rest_bids))),
        ("prices have to be", replace(outcome, prices=type(outcome.prices)(*other))),
        ("add up", replace(outcome, flows=tuple(tuple(v + 1 for v in row) for row in outcome.flows))),
        ("bought", replace(outcome, bids=(less, *rest_bids))),
        ("below 0", replace(outcome, bids=(bid._replace(fee=-1), *rest_bids))),
    ]


@pytest.mark.parametrize("at", range(12))
def test_c1_with_areas_refuses(at: int) -> None:
    rows = [(BID, 60_000, 5, 1), (BID, 55_000, 5, 2), (ASK, 30_000, 7, 3), (ASK, 35_000, 3, 4)]
    found = [Order(side, price, seq, seq, bus, mWh) for seq, (side, price, mWh, bus) in enumerate(rows, start=1)]
    t = terms()
    outcome = uniform(book(found), t)
    assert uniform_fault(book(found), t, outcome) is None
    said, lie = tampered(outcome)[at]
    fault = uniform_fault(book(found), t, lie)
    assert fault is not None
    assert said in fault


def moved(outcome: Outcome, seqs: tuple[int, int], energy: int) -> Outcome:
    """Energy handed from one order to another of its side at the same prices."""

    def change(award: Award) -> Award:
        step = {seqs[0]: -energy, seqs[1]: energy}.get(award.order.seq, 0)
        return award._replace(
            fill_mWh=award.fill_mWh + step, amount=award.amount // award.fill_mWh * (award.fill_mWh + step)
        )

    return replace(outcome, bids=tuple(map(change, outcome.bids)), asks=tuple(map(change, outcome.asks)))


def test_c1_with_areas_refuses_a_better_order_passed_over() -> None:
    rows = [(BID, 60_000, 5, 1), (ASK, 30_000, 3, 3), (ASK, 30_000, 4, 4)]
    found = [Order(side, price, seq, seq, bus, mWh) for seq, (side, price, mWh, bus) in enumerate(rows, start=1)]
    outcome = uniform(book(found), terms())
    assert "served before" in (uniform_fault(book(found), terms(), moved(outcome, (2, 3), 1)) or "")


@pytest.mark.parametrize("fees", [NO_FEES, fee_table({1: 0, 3: 1}, [[9, 1_000], [1_000, 9]], Levies())])
def test_c1_with_areas_refuses_idle_orders_at_the_money(fees: FeeTable) -> None:
    """Nothing trades though the ask delivers exactly at the bid's price."""
    fee = fees.of(3, 1)
    found = [Order(BID, 40_000 + fee, 1, 1, 1, 5), Order(ASK, 40_000, 2, 2, 3, 5)]
    t = terms(fees)
    assert fills(uniform(book(found), t)) == {1: 5, 2: 5}
    size = fees.areas
    ends = edges(book(found).bids, [0], fees), edges(book(found).asks, [0], fees)
    flows = tuple((0,) * size for _ in range(size))
    low, _ = prices(ends, flows, replace(t, k_num=0, k_den=1))
    nothing = Outcome(bids=(), asks=(), price_e4=0, prices=low, flows=flows)
    assert "are not filled" in (uniform_fault(book(found), replace(t, k_num=0, k_den=1), nothing) or "")


def test_edge_areas_pay_the_levies() -> None:
    table = fee_table(
        {7: 1, 8: 2}, [[10, 20, 30], [40, 50, 60], [70, 80, 90]], Levies(dno_e4=2_500, mo_e4=1_500, kinds=(0, 1, 2))
    )
    assert table.of(1, 2) == 10
    assert (table.of(7, 1), table.of(1, 7), table.of(7, 7)) == (2_540, 2_520, 2_550)
    assert (table.of(8, 1), table.of(7, 8)) == (1_570, 4_060)
    assert table.areas == 3
    assert table.areas <= BUSES


@settings(max_examples=40, deadline=None)
@given(fees=tables())
def test_the_envelope_covers_every_pair_and_is_tight_for_sums(fees: FeeTable) -> None:
    size = range(fees.areas)
    assert all(fees.sell_e4[i] + fees.buy_e4[j] >= fees.pair_e4[i][j] for i in size for j in size)
    assert all(value >= 0 for value in (*fees.sell_e4, *fees.buy_e4))
    sums = [[fees.sell_e4[i] + fees.buy_e4[j] for j in size] for i in size]
    again = fee_table({}, sums, Levies())
    assert all(again.sell_e4[i] + again.buy_e4[j] == sums[i][j] for i in size for j in size)
