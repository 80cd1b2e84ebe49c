"""Money and energy of whole slots: nothing appears or disappears, every statement is what its cell's wealth says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.merkle import grown, root_of_peaks
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query, market_tx
from energy.errors import CellNotActive
from energy.market import keys, state
from energy.market.work import run_work
from energy.units import stored
from tests.energy.chain import ASK, BID, RICH, UTILITY, Chain, address

CELLS = 5
FACTORS = [0, 333, 500, 999, 1000]
MECHANISMS = [pb.MECHANISM_UNIFORM_K, pb.MECHANISM_TRADE_REDUCTION, pb.MECHANISM_PAY_AS_BID]
POOLS = (state.ESCROW, state.BALANCING, state.INCENTIVE, state.FEES, state.COLLATERAL)

orders = st.lists(
    st.tuples(st.integers(1, CELLS), st.sampled_from([BID, ASK]), st.integers(20_000, 80_000), st.integers(1, 300_000)),
    max_size=20,
    unique_by=lambda row: (row[0], row[1], row[2]),
)
meters = st.dictionaries(st.integers(1, CELLS), st.tuples(st.integers(0, 3_000_000), st.integers(0, 3_000_000)))


def cell_wealth(chain: Chain, number: int) -> int:
    """Coins, collateral and claims of a cell, less what it owes."""
    cell = chain.registry.cell(chain.ctx(), number)
    own = chain.balance(number.to_bytes(20, "big"))
    return own + stored(cell.collateral) + stored(cell.owed) - stored(cell.arrears)


def played_slot(chain: Chain, rows: list[tuple[int, int, int, int]], factor: int, *, kinds: bool = False) -> int:
    """A slot with these orders, brought to METERING with a factor that a network check might have set."""
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    placed: dict[int, int] = {}
    for cell, side, price, quantity in rows:
        if placed.get(cell, 0) < 8:
            message = chain.place(cell, slot, side, price, quantity)
            chain.deliver(of_some_kind(message) if kinds else message)
            placed[cell] = placed.get(cell, 0) + 1
    cut_to(chain, slot, factor)
    return slot


def of_some_kind(message: market_tx.MsgPlaceOrder) -> market_tx.MsgPlaceOrder:
    """Bids at the cap are critical, of the others every second one is firm."""
    firm = pb.ORDER_KIND_FIRM if message.quantity_mWh % 2 else pb.ORDER_KIND_FLEXIBLE
    top = message.side == BID and message.price_e4 == 80_000
    message.kind = pb.ORDER_KIND_CRITICAL if top else firm
    return message


def cut_to(chain: Chain, slot: int, factor: int) -> None:
    """Bring a slot from BIDDING to METERING, with a factor as the network check at CLEAR would have set it."""
    chain.until(slot, pb.SLOT_STATE_SECURED, 200)
    record = chain.slot(slot)
    record.factor_permille = factor
    state.save_slot(chain.ctx(), record)
    chain.until(slot, pb.SLOT_STATE_METERING, 200)


def statements(chain: Chain, slot: int) -> list[pb.Statement]:
    return [pb.Statement.FromString(raw) for _, raw in chain.store.iterate(keys.statements_prefix(slot))]


@settings(max_examples=80, deadline=None)
@given(
    rows=orders,
    said=meters,
    factor=st.sampled_from(FACTORS),
    mechanism=st.sampled_from(MECHANISMS),
    units=st.integers(1, 7),
)
def test_a_slot_conserves_money_and_energy(
    rows: list[tuple[int, int, int, int]],
    said: dict[int, tuple[int, int]],
    factor: int,
    mechanism: int,
    units: int,
) -> None:
    chain = Chain(cells=CELLS, mechanism=mechanism, settle_units=units)
    before = {number: cell_wealth(chain, number) for number in range(1, CELLS + 1)}
    pools_before = {pool: chain.balance(pool) for pool in POOLS}
    slot = played_slot(chain, rows, factor, kinds=units > 3)
    if said:
        chain.deliver(chain.submit(*(chain.reading(cell, slot, *energy) for cell, energy in said.items())))
    record = chain.until(slot, pb.SLOT_STATE_SETTLED)
    assert (record.escrow, chain.balance(state.ESCROW)) == ("0", 0)
    assert chain.held_in_all() == chain.supply
    found = statements(chain, slot)
    assert [stored(s.net) for s in found] == [
        sum(stored(getattr(s, row)) for row in ("trade", "imbalance", "penalty", "fee", "catch_up", "grid", "loss"))
        for s in found
    ]
    numbers = {address(number): number for number in before}
    gains = {numbers[statement.cell]: stored(statement.net) for statement in found}
    assert {number: cell_wealth(chain, number) - before[number] for number in before} == {
        number: gains.get(number, 0) for number in before
    }
    # Whatever the cells lost, the pools have: nothing is owed or in arrears here.
    pools = sum(chain.balance(pool) - pools_before[pool] for pool in POOLS if pool != state.COLLATERAL)
    assert pools == -sum(gains.values())
    check_energy(record, found)
    check_root(record, found)


def check_energy(record: pb.Slot, found: list[pb.Statement]) -> None:
    metered = sum(s.import_mWh - s.export_mWh + s.catch_up_mWh for s in found)
    deviations = sum(s.import_mWh - s.export_mWh - position_of(s) + s.catch_up_mWh for s in found)
    residue = sum(s.bought_mWh - s.sold_mWh for s in found)
    assert record.balance_mWh == record.import_mWh - record.export_mWh == metered
    assert metered == deviations + residue + record.residual_mWh
    assert abs(residue) <= 20
    assert sum(s.bought_mWh for s in found) <= record.clearing.volume_mWh
    check_main_grid(record, found)


def position_of(statement: pb.Statement) -> int:
    return statement.bought_mWh + statement.grid_bought_mWh - statement.sold_mWh - statement.grid_sold_mWh


def check_main_grid(record: pb.Slot, found: list[pb.Statement]) -> None:
    """What the slot leaves to the main grid is what its cells were billed for it, to the unit."""
    assert record.grid_import_mWh == sum(s.grid_bought_mWh for s in found)
    assert record.grid_export_mWh == sum(s.grid_sold_mWh for s in found)
    assert record.residual_mWh == record.grid_import_mWh - record.grid_export_mWh
    assert record.unserved_ask_mWh == record.grid_export_mWh + record.curtailed_mWh
    assert record.unserved_ask_mWh == record.ask_mWh - sum(s.sold_mWh for s in found)
    assert record.grid_import_mWh <= record.unserved_bid_mWh == record.bid_mWh - sum(s.bought_mWh for s in found)
    cap, floor = record.prices.cap_e4, record.prices.floor_e4
    for s in found:
        assert stored(s.grid) == floor * s.grid_sold_mWh - cap * s.grid_bought_mWh


def check_root(record: pb.Slot, found: list[pb.Statement]) -> None:
    peaks: list[bytes] = []
    for count, statement in enumerate(found):
        peaks = grown(peaks, count, statement.SerializeToString(deterministic=True))
    assert record.statements_root == root_of_peaks(peaks)
    assert record.settled_cells == len(found)


def test_missing_readings_count_as_the_worst_case_and_are_corrected_by_the_counters() -> None:
    chain = Chain(cells=2)
    start = {number: cell_wealth(chain, number) for number in (1, 2)}
    first = played_slot(chain, [], 1000)
    chain.deliver(chain.submit(chain.reading(1, first, 0, 0), chain.reading(2, first, 0, 0)))
    chain.until(first, pb.SLOT_STATE_SETTLED)
    slot = played_slot(chain, [(1, BID, 50_000, 100_000), (2, ASK, 50_000, 100_000)], 1000)
    skipped = list(range(first + 1, slot))
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    buyer, seller = statements(chain, slot)
    assert (buyer.import_mWh, buyer.imbalance, buyer.estimated) == (100_000, "0", True)
    assert (seller.export_mWh, seller.imbalance) == (0, str(-100_000 * 100_000))
    assert seller.penalty == str(-25_000 * (100_000 - 5_000))
    assert {event["cell"] for event in chain.events_of("reading_missing")} == {address(1), address(2)}
    after = chain.live()[-1]
    chain.until(after, pb.SLOT_STATE_METERING)
    # The counters tell what happened in `slot`, and nothing in the slots between: 100 Wh taken, 100 Wh given.
    assert skipped
    late = chain.reading(1, after, 0, 0, gap=(100_000, 0)), chain.reading(2, after, 0, 0, gap=(0, 100_000))
    (answer,) = chain.block(10, chain.submit(*late))
    assert [result.log for result in answer.results] == ["", ""]
    chain.until(after, pb.SLOT_STATE_SETTLED)
    buyer, seller = statements(chain, after)
    assert (buyer.catch_up_mWh, seller.catch_up_mWh) == (0, -100_000)
    assert seller.catch_up == str(100_000 * 10_000)
    trade, fee = 100_000 * 50_000, 100_000 * 200
    assert cell_wealth(chain, 1) - start[1] == -trade - fee
    assert cell_wealth(chain, 2) - start[2] == trade - fee - 100_000 * 90_000 - 25_000 * 95_000


def test_a_first_reading_does_not_pay_for_what_was_assumed_before() -> None:
    chain = Chain(cells=2)
    slot = played_slot(chain, [(1, BID, 50_000, 100_000), (2, ASK, 50_000, 100_000)], 1000)
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    after = chain.live()[-1]
    chain.until(after, pb.SLOT_STATE_METERING)
    chain.block(10, chain.submit(chain.reading(1, after, 0, 0)))
    chain.until(after, pb.SLOT_STATE_SETTLED)
    assert [(s.catch_up_mWh, s.net) for s in statements(chain, after)] == [(0, "0")]


def test_charges_beyond_income_take_collateral_then_become_arrears_which_a_deposit_pays() -> None:
    chain = Chain(cells=2)
    cell = chain.registry.cell(chain.ctx(), 1)
    cell.collateral = str(10**9)  # as if older charges had used it up; the rest of the account is cell 2's
    chain.registry.save_cell(chain.ctx(), cell)
    before = cell_wealth(chain, 1)
    slot = played_slot(chain, [], 1000)
    chain.deliver(chain.submit(chain.reading(1, slot, 1_000_000, 0)))
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    cell = chain.registry.cell(chain.ctx(), 1)
    # Nobody traded: the price is between floor and cap, (20000 + 80000) / 2.
    charge = 1_000_000 * (100_000 + 25_000)
    assert (cell.collateral, cell.arrears) == ("0", str(charge - 10**9))
    assert cell_wealth(chain, 1) == before - charge
    assert chain.held_in_all() == chain.supply
    pools = chain.query(market_query.QueryPoolsRequest())
    assert (pools.arrears, pools.owed) == (cell.arrears, "0")
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    with pytest.raises(CellNotActive, match=r"arrears"):
        chain.deliver(chain.place(1, slot, BID, 50_000, 1))
    held = chain.balance(state.BALANCING)
    chain.deliver(market_tx.MsgDeposit(cell=address(1), amount=str(charge)))
    cell = chain.registry.cell(chain.ctx(), 1)
    assert (cell.arrears, cell.collateral) == ("0", str(10**9))
    assert chain.balance(state.BALANCING) == held + charge - 10**9


def test_an_empty_balancing_account_owes_and_pays_at_the_next_inflow() -> None:
    chain = Chain(cells=2)
    slot = played_slot(chain, [], 1000)
    chain.deliver(chain.submit(chain.reading(1, slot, 0, 1_000_000), chain.reading(2, slot, 0, 500_000)))
    state.move(chain.ctx(), state.BALANCING, b"\x01" * 20, RICH)  # the utility cell's account is empty
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    owed = [chain.registry.cell(chain.ctx(), number).owed for number in (1, 2)]
    assert owed == [str(1_000_000 * 10_000), str(500_000 * 10_000)]
    assert chain.query(market_query.QueryPoolsRequest()).owed == str(1_500_000 * 10_000)
    assert chain.held_in_all() == chain.supply
    before = chain.balance((1).to_bytes(20, "big"))
    chain.block(10, market_tx.MsgDeposit(cell=UTILITY, amount=str(12 * 10**9)))
    owed = [chain.registry.cell(chain.ctx(), number).owed for number in (1, 2)]
    assert owed == ["0", str(3 * 10**9)]
    assert chain.balance((1).to_bytes(20, "big")) == before + 10**10
    chain.block(10, market_tx.MsgDeposit(cell=UTILITY, amount=str(10**12)))
    assert chain.query(market_query.QueryPoolsRequest()).owed == "0"
    assert not list(chain.store.iterate(keys.OWED))


def test_settlement_and_pruning_take_bounded_units_and_leave_only_the_summary() -> None:
    chain = Chain(cells=CELLS, settle_units=2, prune_units=3)
    slot = played_slot(chain, [(n, BID if n % 2 else ASK, 50_000, 1_000 * n) for n in range(1, CELLS + 1)], 1000)
    chain.deliver(chain.submit(*(chain.reading(n, slot, 0, 0) for n in range(1, CELLS + 1))))
    chain.until(slot, pb.SLOT_STATE_SETTLING, 100)
    seen = []
    while chain.slot(slot).state == pb.SLOT_STATE_SETTLING:
        before = len(chain.events_of("cell_settled"))
        run_work(chain.ctx(), chain.registry)
        seen.append(len(chain.events_of("cell_settled")) - before)
    assert max(seen) <= 2
    assert chain.until(slot, pb.SLOT_STATE_CLOSED).HasField("params") is False
    for _ in range(60):
        left = {key for key, _ in chain.store.iterate(b"m") if slot.to_bytes(8, "big") in key}
        chain.block(500)
        gone = left - {key for key, _ in chain.store.iterate(b"m") if slot.to_bytes(8, "big") in key}
        assert len(gone) <= 4  # 3 units and the cursor
    assert left == {keys.slot_key(slot)}


@pytest.mark.parametrize(("shared", "whole", "residue"), [(ASK, BID, 1), (BID, ASK, -1)])
def test_what_the_factor_rounds_away_goes_through_balancing(shared: int, whole: int, residue: int) -> None:
    """At factor 500 an order of 1000 keeps 500, three of 333, 333, 334 keep 499: the odd mWh is balancing's."""
    chain = Chain(cells=4)
    rows = [(1, whole, 50_000, 1_000), (2, shared, 50_000, 333), (3, shared, 50_000, 333), (4, shared, 50_000, 334)]
    slot = played_slot(chain, rows, 500)
    fills = ((1, 500), (2, 166), (3, 166), (4, 167))
    asked = {row[0]: row[3] for row in rows}  # nothing is checked: what wasn't sold is let out
    for cell, fill in fills:
        buys = (whole if cell == 1 else shared) == BID
        chain.deliver(chain.submit(chain.reading(cell, slot, fill if buys else 0, 0 if buys else asked[cell])))
    record = chain.until(slot, pb.SLOT_STATE_SETTLED)
    let_out = 501 if shared == ASK else 500
    assert (record.escrow, record.balance_mWh, record.grid_export_mWh) == ("0", residue - let_out, let_out)
    assert chain.balance(state.BALANCING) == RICH + residue * 50_000 - let_out * 20_000
    assert chain.balance(state.INCENTIVE) == 0
    assert chain.balance(state.FEES) == 999 * 200
