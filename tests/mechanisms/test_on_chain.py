"""The mechanisms on the chain's state machine: whole slots, money and energy conserved, subsidies and fees paid."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError, InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query, market_tx
from energy.errors import (
    FeesMalformed,
    InsufficientBalance,
    MechanismLimit,
    NotAuthorized,
    SubsidyNotFunded,
    TooManyOrders,
)
from energy.market import awards, keys, mechanism, state
from energy.market.defaults import params_document
from energy.market.settlement import Filled
from energy.mechanisms.book import Book, Order, Terms
from energy.mechanisms.catalogue import CATALOGUE
from energy.mechanisms.fees import NO_FEES, FeeTable, Levies, fee_table
from energy.units import stored
from ibc_core import bank
from ibc_core.host import Context
from tests.energy.chain import ASK, BID, DENOM, RICH, UTILITY, Chain, address
from tests.energy.test_settlement import (
    FACTORS,
    cell_wealth,
    check_energy,
    check_root,
    cut_to,
    of_some_kind,
    statements,
)

CELLS = 5
FUND = 10**15
ALL = sorted(mechanism.NAMES)
POOLS = (state.ESCROW, state.BALANCING, state.INCENTIVE, state.FEES, state.SUBSIDY)
AREAS = [[300, 2_000], [1_000, 0]]

Row = tuple[int, int, int, int, int]


def fees_message(rows: list[list[int]] = AREAS) -> pb.FeeTable:
    """Cells 3 and up (each at the bus of its number) in the second area, which is the main grid's."""
    areas = [pb.FeeArea(to_e4=rows[0]), pb.FeeArea(buses=[3, 4, 5], kind=1, to_e4=rows[1])]
    return pb.FeeTable(areas=areas, dno_e4=2_500)


def table() -> FeeTable:
    return fee_table({3: 1, 4: 1, 5: 1}, AREAS, Levies(dno_e4=2_500, kinds=(0, 1)))


def params_of(kind: int, **more: object) -> dict[str, object]:
    fields: dict[str, object] = {"mechanism": kind, "tariff_e4": 50_000, "subsidy_max": str(FUND), **more}
    if kind in mechanism.SUBSIDISED:
        fields["max_orders_per_slot"] = 200
    return fields


def chain_with(kind: int, *, fees: bool = False, fund: int = FUND, **more: object) -> Chain:
    """The mechanism set by message, as a running chain changes it; the subsidy pool filled before."""
    chain = Chain(cells=CELLS)
    chain.block()
    if fund:
        chain.deliver(market_tx.MsgDeposit(cell=UTILITY, amount=str(fund), pool="subsidy"))
    params = state.params(chain.ctx())
    fields = params_of(kind, **more)
    params.MergeFrom(pb.Params(**fields))  # type: ignore[arg-type]  # fields of several types
    message = market_tx.MsgUpdateParams(authority=UTILITY, params=params)
    if fees:
        message.fees.CopyFrom(fees_message())
    chain.deliver(message)
    return chain


def next_slot(chain: Chain) -> int:
    """A slot that opens after the change, in BIDDING."""
    slot = state.last_opened(chain.ctx()) + 1
    while state.find_slot(chain.ctx(), slot) is None:
        chain.block()
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    return slot


def place(chain: Chain, slot: int, row: Row, min_score: int = 0) -> None:
    message = chain.place(row[0], slot, *row[1:4])
    message.min_score_permille = min_score
    chain.deliver(of_some_kind(message))


def played(chain: Chain, rows: list[Row], factor: int, *, greedy: bool = False) -> int:
    slot = next_slot(chain)
    placed: dict[int, int] = {}
    for row in rows:
        if placed.get(row[0], 0) < 8:
            place(chain, slot, row, row[4] if greedy and row[1] == BID else 0)
            placed[row[0]] = placed.get(row[0], 0) + 1
    cut_to(chain, slot, factor)
    return slot


rows_of_orders = st.lists(
    st.tuples(
        st.integers(1, CELLS),
        st.sampled_from([BID, ASK]),
        st.integers(20_000, 80_000),
        st.integers(1, 300_000),
        st.sampled_from([0, 500, 900]),
    ),
    max_size=14,
)
meters = st.dictionaries(st.integers(1, CELLS), st.tuples(st.integers(0, 3_000_000), st.integers(0, 3_000_000)))


@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=8, deadline=None)
@given(rows=rows_of_orders, said=meters, factor=st.sampled_from(FACTORS), fees=st.booleans())
def test_a_slot_conserves_money_and_energy(
    kind: int, rows: list[Row], said: dict[int, tuple[int, int]], factor: int, fees: bool
) -> None:
    chain = chain_with(kind, fees=fees)
    before = {number: cell_wealth(chain, number) for number in range(1, CELLS + 1)}
    pools = {pool: chain.balance(pool) for pool in POOLS}
    slot = played(chain, rows, factor, greedy=kind == pb.MECHANISM_GREEDY)
    cleared = chain.slot(slot).clearing
    if said:
        chain.deliver(chain.submit(*(chain.reading(cell, slot, *energy) for cell, energy in said.items())))
    record = chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert record.escrow == "0"
    assert chain.held_in_all() == chain.supply
    gains = {statement.cell: stored(statement.net) for statement in statements(chain, slot)}
    for number, wealth in before.items():
        assert cell_wealth(chain, number) - wealth == gains.get(address(number), 0)
    assert sum(chain.balance(pool) - pools[pool] for pool in POOLS) == -sum(gains.values())
    check_energy(record, statements(chain, slot))
    check_root(record, statements(chain, slot))
    assert record.clearing.mechanism == kind
    assert cleared.explicit == (fees or kind not in mechanism.MERGED)
    charged = -sum(stored(statement.grid_fee) for statement in statements(chain, slot))
    if factor == 1000:
        assert charged == stored(cleared.grid_fees)
        assert chain.balance(state.SUBSIDY) == FUND - stored(cleared.subsidy)
    assert charged <= stored(cleared.grid_fees)
    if factor == 0:
        assert chain.balance(state.SUBSIDY) == FUND


@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=6, deadline=None)
@given(rows=rows_of_orders, fees=st.booleans())
def test_the_chain_clears_as_the_pure_rule_does(kind: int, rows: list[Row], fees: bool) -> None:
    chain = chain_with(kind, fees=fees)
    slot = next_slot(chain)
    for row in rows[:8]:
        place(chain, slot, row)
    held = [o for cell in range(1, CELLS + 1) for o in state.orders_of(chain.ctx(), slot, cell)]
    cells = {o.cell: chain.registry.cell(chain.ctx(), o.cell) for o in held}
    book = Book.of(Order(*o) for o in held)
    terms = Terms(
        floor_e4=20_000,
        cap_e4=80_000,
        tariff_e4=50_000,
        fees=table() if fees else NO_FEES,
        scores={number: cell.score_permille for number, cell in cells.items()},
        seed=mechanism.muda_seed("mga-1", slot),
    )
    outcome = CATALOGUE[mechanism.NAMES[kind]].rule(book, terms)
    chain.until(slot, pb.SLOT_STATE_RESIDUAL, 200)
    got = {}
    for order in held:
        found = chain.query(market_query.QueryFillRequest(slot=slot, seq=order.seq))
        if found.fill_mWh:
            got[order.seq] = (found.fill_mWh, int(found.amount), int(found.fee))
    expected = {a.order.seq: (a.fill_mWh, a.amount, a.fee) for a in (*outcome.bids, *outcome.asks)}
    assert got == expected
    clearing = chain.slot(slot).clearing
    assert clearing.volume_mWh == outcome.volume_mWh
    assert clearing.welfare == str(outcome.welfare)
    assert not outcome.volume_mWh or kind in mechanism.MERGED or clearing.price_e4 == outcome.price_e4


PAIR: list[Row] = [(1, BID, 70_000, 1_000, 0), (2, ASK, 30_000, 1_000, 0)]


def test_vcg_takes_its_deficit_from_the_pool() -> None:
    chain = chain_with(pb.MECHANISM_VCG)
    slot = played(chain, PAIR, 1000)
    clearing = chain.slot(slot).clearing
    assert clearing.subsidy == str(40_000 * 1_000)  # the buyer pays 30,000, the seller gets 70,000
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert chain.balance(state.SUBSIDY) == FUND - 40_000_000
    assert {s.cell: s.trade for s in statements(chain, slot)} == {address(1): "-30000000", address(2): "70000000"}


def test_half_the_factor_needs_half_the_subsidy() -> None:
    chain = chain_with(pb.MECHANISM_VCG)
    slot = played(chain, PAIR, 500)
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert chain.balance(state.SUBSIDY) == FUND - 20_000_000


@pytest.mark.parametrize("limit", [39_999_999, 40_000_000])
def test_a_deficit_above_the_limit_clears_at_one_price(limit: int) -> None:
    chain = chain_with(pb.MECHANISM_VCG, subsidy_max=str(limit))
    slot = played(chain, PAIR, 1000)
    clearing = chain.slot(slot).clearing
    fell = limit < 40_000_000
    assert clearing.mechanism == (pb.MECHANISM_UNIFORM_K if fell else pb.MECHANISM_VCG)
    assert clearing.subsidy == ("0" if fell else "40000000")
    assert [e["subsidy_max"] for e in chain.events_of("mechanism_fallback")] == ([str(limit)] if fell else [])
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert statements(chain, slot)[0].trade == ("-50000000" if fell else "-30000000")


@pytest.mark.parametrize("kind", ALL)
def test_clearing_again_under_caps_replaces_awards_and_subsidy(kind: int) -> None:
    """What a network check does: propose under caps, adopt, and once more without caps."""
    rows = [*PAIR, (3, BID, 60_000, 500, 0), (4, ASK, 35_000, 500, 0)]
    chain = chain_with(kind, fees=True)
    slot = played(chain, rows, 1000)
    ctx, record = chain.ctx(), chain.slot(slot)
    before = (chain.balance(state.SUBSIDY), chain.balance(state.ESCROW), dict(chain.store.iterate(keys.AWARDS)))
    mechanism.run(ctx, record, {(1, BID): 0, (2, ASK): 300})
    got = {seq: found.fill_mWh for seq, found in fills(ctx, record).items()}
    assert got[1] == 0
    assert got[2] <= 300
    assert stored(record.escrow) == chain.balance(state.ESCROW)
    mechanism.run(ctx, record, {})
    assert (chain.balance(state.SUBSIDY), chain.balance(state.ESCROW), dict(chain.store.iterate(keys.AWARDS))) == before


def fills(ctx: Context, record: pb.Slot) -> dict[int, Filled]:
    found = [
        o for cell in range(1, CELLS + 1) for o in awards.filled(ctx, record, state.orders_of(ctx, record.slot, cell))
    ]
    return {item.order.seq: item for item in found}


def test_a_slot_opens_with_one_price_when_the_pool_ran_dry() -> None:
    chain = chain_with(pb.MECHANISM_VCG)
    bank.send(chain.ctx(), state.SUBSIDY, state.INCENTIVE, (DENOM, 1))
    slot = next_slot(chain)
    assert chain.slot(slot).params.mechanism == pb.MECHANISM_UNIFORM_K
    assert chain.events_of("subsidy_not_funded")[-1] == {
        "slot": str(slot),
        "subsidy_max": str(FUND),
        "held": str(FUND - 1),
    }
    chain.deliver(market_tx.MsgDeposit(cell=address(1), amount="1", pool="subsidy"))
    assert chain.slot(next_slot(chain)).params.mechanism == pb.MECHANISM_VCG


def test_more_than_200_orders_are_refused_in_the_slot() -> None:
    chain = chain_with(pb.MECHANISM_VCG)
    slot = next_slot(chain)
    record = chain.slot(slot)
    record.orders = 200
    state.save_slot(chain.ctx(), record)
    with pytest.raises(TooManyOrders, match="at most 200"):
        place(chain, slot, PAIR[0])


def refused(chain: Chain, change: dict[str, object], fees: pb.FeeTable | None = None) -> None:
    params = state.params(chain.ctx())
    params.MergeFrom(pb.Params(**change))  # type: ignore[arg-type]  # fields of several types
    message = market_tx.MsgUpdateParams(authority=UTILITY, params=params)
    if fees is not None:
        message.fees.CopyFrom(fees)
    chain.deliver(message)


WRONG = [
    ({"mechanism": pb.MECHANISM_VCG, "subsidy_max": "5"}, MechanismLimit, "at most 200 orders"),
    ({"mechanism": pb.MECHANISM_VICKREY, "max_orders_per_slot": 201, "subsidy_max": "5"}, MechanismLimit, "got 201"),
    ({"mechanism": pb.MECHANISM_VCG, "max_orders_per_slot": 200}, SubsidyNotFunded, "above 0"),
    ({"mechanism": pb.MECHANISM_VCG, "max_orders_per_slot": 9, "subsidy_max": "5"}, SubsidyNotFunded, "holds 0"),
    ({"mechanism": pb.MECHANISM_TARIFF}, InvalidRequest, "tariff_e4 has to be 20000..80000, got 0"),
    ({"mechanism": pb.MECHANISM_TARIFF, "tariff_e4": 80_001}, InvalidRequest, "got 80001"),
    ({"mechanism": 13}, InvalidRequest, "mechanism has to be 1..12, got 13"),
    ({"subsidy_max": "-1"}, InvalidRequest, "subsidy_max"),
]


@pytest.mark.parametrize(("change", "error", "said"), WRONG)
def test_parameters_without_what_they_need_are_refused(
    change: dict[str, object], error: type[ChainError], said: str
) -> None:
    with pytest.raises(error, match=said):
        refused(Chain(cells=1), change)


BAD_FEES = [
    (pb.FeeTable(areas=[pb.FeeArea(to_e4=[0, 1])]), "1 rows of 1"),
    (pb.FeeTable(areas=[pb.FeeArea(buses=[1], to_e4=[0, 1]), pb.FeeArea(buses=[1], to_e4=[0, 1])]), "one fee area"),
    (pb.FeeTable(areas=[pb.FeeArea(to_e4=[0], kind=3)]), "kinds"),
    (pb.FeeTable(areas=[pb.FeeArea(to_e4=[10**7 + 1])]), "fee_e4"),
]


@pytest.mark.parametrize(("fees", "said"), BAD_FEES)
def test_malformed_fees_are_refused(fees: pb.FeeTable, said: str) -> None:
    with pytest.raises(FeesMalformed, match=said):
        refused(Chain(cells=1), {}, fees)


def test_genesis_may_carry_fees_and_needs_the_subsidy() -> None:
    chain = Chain(cells=1)
    ctx, params = chain.ctx(), state.params(chain.ctx())
    params.MergeFrom(pb.Params(mechanism=pb.MECHANISM_VCG, subsidy_max="7", max_orders_per_slot=9))
    areas = [{"to_e4": [10]}]
    with pytest.raises(SubsidyNotFunded, match="holds 0"):
        chain.market.init_genesis(ctx, {"params": params_document(params), "fees": {"areas": areas}})
    assert chain.query(market_query.QueryParamsRequest()).fees.areas[0].to_e4 == [10]


def test_fees_change_for_slots_to_come_and_old_tables_go() -> None:
    chain = chain_with(pb.MECHANISM_UNIFORM_K, fees=True)
    first = next_slot(chain)
    chain.deliver(market_tx.MsgUpdateParams(authority=UTILITY, params=state.params(chain.ctx()), fees=pb.FeeTable()))
    assert not chain.query(market_query.QueryParamsRequest()).HasField("fees")
    for row in PAIR:
        place(chain, first, row)
    second = next_slot(chain)
    for row in PAIR:
        place(chain, second, row)
    chain.until(second, pb.SLOT_STATE_RESIDUAL, 100)
    assert [chain.slot(slot).clearing.grid_fees for slot in (first, second)] == [str(300 * 1_000), ""]
    chain.until(second, pb.SLOT_STATE_SETTLED)
    for _ in range(12):
        chain.block()
    refused(chain, {}, fees_message())
    assert len([key for key, _ in chain.store.iterate(keys.FEES)]) == 2


def test_awards_are_pruned_with_their_slot() -> None:
    chain = chain_with(pb.MECHANISM_HUANG)
    slot = played(chain, [*PAIR, (3, BID, 60_000, 500, 0), (4, ASK, 35_000, 500, 0)], 1000)
    assert list(chain.store.iterate(keys.awards_prefix(slot)))
    for _ in range(60):
        chain.block()
    assert chain.slot(slot).state == pb.SLOT_STATE_CLOSED
    assert not list(chain.store.iterate(keys.AWARDS))


def test_thresholds_are_for_bids_of_the_greedy_match() -> None:
    chain = chain_with(pb.MECHANISM_GREEDY)
    slot = next_slot(chain)
    with pytest.raises(InvalidRequest, match="min_score_permille"):
        place(chain, slot, PAIR[1], 500)
    with pytest.raises(InvalidRequest, match=r"0\.\.1000"):
        place(chain, slot, PAIR[0], 1_001)
    other = chain_with(pb.MECHANISM_UNIFORM_K)
    with pytest.raises(InvalidRequest, match="min_score_permille"):
        place(other, next_slot(other), PAIR[0], 1)


def test_a_buyer_gets_nothing_from_a_producer_below_its_threshold() -> None:
    chain = chain_with(pb.MECHANISM_GREEDY)
    slot = next_slot(chain)
    seller = chain.registry.cell(chain.ctx(), 2)
    seller.score_permille = 499
    chain.registry.save_cell(chain.ctx(), seller)
    place(chain, slot, (1, BID, 70_000, 1_000, 0), 500)
    place(chain, slot, (3, BID, 60_000, 400, 0), 499)
    place(chain, slot, (2, ASK, 30_000, 1_000, 0))
    clearing = chain.until(slot, pb.SLOT_STATE_RESIDUAL, 100).clearing
    assert (clearing.volume_mWh, clearing.price_e4) == (400, 30_000)


def test_the_subsidy_pool_is_anybodys_to_fund_and_the_utility_cells_to_withdraw() -> None:
    chain = Chain(cells=2)
    chain.deliver(market_tx.MsgDeposit(cell=address(1), amount="500", pool="subsidy"))
    assert chain.query(market_query.QueryPoolsRequest()).subsidy == "500"
    assert bank.is_blocked(chain.ctx(), state.SUBSIDY)
    with pytest.raises(NotAuthorized, match="utility cell"):
        chain.deliver(market_tx.MsgWithdraw(cell=address(1), amount="500", pool="subsidy"))
    with pytest.raises(InvalidRequest, match="pool has to be"):
        chain.deliver(market_tx.MsgDeposit(cell=address(1), amount="500", pool="other"))
    refused(chain, {"mechanism": pb.MECHANISM_VCG, "subsidy_max": "300", "max_orders_per_slot": 200})
    with pytest.raises(InsufficientBalance, match="keep 300, holds 500, 201"):
        chain.deliver(market_tx.MsgWithdraw(cell=UTILITY, amount="201", pool="subsidy"))
    chain.deliver(market_tx.MsgWithdraw(cell=UTILITY, amount="200", pool="subsidy"))
    assert chain.balance(state.SUBSIDY) == 300
    assert chain.balance(b"\x01" * 20) == RICH + 200
    assert chain.held_in_all() == chain.supply
