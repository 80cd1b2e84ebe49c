"""Firm orders, what is let out to the main grid, and losses, on a chain in memory against an independent power flow."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query, registry_tx
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.grid.schedule import BusEnergy
from energy.market import mechanism, state
from energy.registry import state as registered
from energy.units import MWH_PER_W, stored
from physics.powerflow import PowerFlow, grid_of, violations
from tests.energy.chain import ASK, BID, RICH, UTILITY, Chain, address
from tests.energy.test_settlement import cell_wealth, check_energy, check_root, of_some_kind, statements
from tests.grid.cases import SLACK, solve
from tests.grid.test_on_chain import RECLEAR, RESIDUAL, SECURED, assert_settled, bidding, cleared, forecast, star

FIRM = pb.ORDER_KIND_FIRM
CELLS = 5
SUBSIDISED = mechanism.SUBSIDISED
Row = tuple[int, int, int, int]


def firm(chain: Chain, slot: int, row: Row) -> None:
    message = chain.place(row[0], slot, *row[1:])
    message.kind = FIRM
    chain.deliver(message)


def test_firm_energy_is_drawn_whole_and_no_factor_scales_it() -> None:
    """The weak branch carries 1,000,000 mWh: 800,000 are firm, so that half of the flexible 400,000 fit."""
    chain = Chain()
    slot = bidding(chain, star())
    firm(chain, slot, (2, BID, 70_000, 800_000))
    record = cleared(chain, slot, (2, BID, 60_000, 400_000), (1, ASK, 40_000, 1_200_000))
    assert (record.state, record.clearing.volume_mWh) == (RECLEAR, 1_200_000)
    assert 480 <= record.factor_permille <= 500
    factor = record.factor_permille
    record = chain.until(slot, RESIDUAL, 200)
    served = 800_000 * factor // 1000
    assert record.grid_import_mWh == 800_000 - served
    assert record.unserved_bid_mWh == record.grid_import_mWh + 400_000 - 400_000 * factor // 1000
    found = chain.query(market_query.QueryScheduleRequest(slot=slot))
    assert {bus.bus: bus.p_mWh for bus in found.buses}[2] == 800_000 + 400_000 * factor // 1000
    assert found.cells[1].import_mWh == 800_000 + 400_000 * factor // 1000
    assert_settled(chain, slot)


def test_no_more_is_let_out_than_the_feeder_bears() -> None:
    """Nobody buys 2,000,000 mWh behind a branch for 1,000,000: less than half goes out, the rest is curtailed."""
    chain = Chain()
    slot = bidding(chain, star())
    record = cleared(chain, slot, (2, ASK, 40_000, 2_000_000))
    assert (record.state, record.factor_permille) == (SECURED, 1000)
    record = chain.until(slot, RESIDUAL, 200)
    assert 495 <= record.export_permille <= 500
    assert record.grid_export_mWh == 2_000_000 * record.export_permille // 1000 == -record.residual_mWh
    assert record.curtailed_mWh == 2_000_000 - record.grid_export_mWh
    (said,) = chain.events_of("slot_residual")[-1:]
    assert (said["export_permille"], said["curtailed_mWh"]) == (str(record.export_permille), str(record.curtailed_mWh))
    fill = chain.query(market_query.QueryFillRequest(slot=slot, seq=1))
    assert (fill.fill_mWh, fill.scheduled_mWh) == (0, record.grid_export_mWh)
    chain.until(slot, pb.SLOT_STATE_METERING, 200)
    chain.deliver(chain.submit(chain.reading(2, slot, 0, record.grid_export_mWh)))
    record = chain.until(slot, pb.SLOT_STATE_SETTLED, 200)
    statement = chain.query(market_query.QueryStatementRequest(slot=slot, cell=address(2))).statement
    assert (statement.imbalance, statement.penalty) == ("0", "0")
    assert stored(statement.grid) == 20_000 * record.grid_export_mWh
    assert stored(statement.net) == stored(statement.grid) + stored(statement.loss)


def test_firm_asks_are_let_out_whole() -> None:
    chain = Chain()
    slot = bidding(chain, star())
    firm(chain, slot, (2, ASK, 40_000, 600_000))
    cleared(chain, slot, (2, ASK, 45_000, 600_000), (1, BID, 30_000, 5))
    record = chain.until(slot, RESIDUAL, 200)
    assert 600_000 < record.grid_export_mWh < 1_000_000
    assert record.grid_import_mWh == 0
    assert record.grid_export_mWh - 600_000 == 600_000 * record.export_permille // 1000
    assert_settled(chain, slot)


@pytest.mark.parametrize(("mode", "export"), [(registry_pb.SECURITY_MODE_CHAIN, 0), (None, 1000)])
def test_a_voided_slot_lets_out_what_nothing_checks(mode: int | None, export: int) -> None:
    chain = Chain(cells=2)
    slot = bidding(chain, None if mode is None else star(mode))
    chain.deliver(chain.place(2, slot, ASK, 40_000, 1_000))
    firm(chain, slot, (1, BID, 50_000, 700))
    record = chain.slot(slot)
    chain.block(slot * 4_000 - chain.now_ms)  # CLEAR still waits for its second block
    record = chain.slot(slot)
    assert (record.voided, record.factor_permille, record.export_permille) == (True, 0, export)
    assert (record.grid_import_mWh, record.grid_export_mWh) == (700, export)
    assert record.curtailed_mWh == 1_000 - export
    assert_settled(chain, slot)


def test_a_forecast_that_stood_in_stays_the_slots_own() -> None:
    """What the slot before is sealed with after CLEAR changes nothing, and is not what is kept for later slots."""
    chain = Chain()
    chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=star()))
    chain.block()
    first = chain.live()[-1] + 1
    for slot, energy in ((first, 900_000), (first + 1, None), (first + 2, 500_000), (first + 3, None)):
        chain.until(slot, pb.SLOT_STATE_FORECAST, 100)
        if energy is not None:
            forecast(chain, slot, energy)
    second, last = first + 1, first + 3
    chain.until(last, RESIDUAL, 100)
    assert [chain.slot(slot).baseline_inherited for slot in (first, second, last)] == [False, False, True]
    found = chain.query(market_query.QueryScheduleRequest(slot=last))
    assert [(bus.bus, bus.p_mWh) for bus in found.buses] == [(2, 900_000)]
    sealed = chain.until(first + 2, pb.SLOT_STATE_SEALED, 100)
    assert sealed.state == pb.SLOT_STATE_SEALED
    chain.until(last, pb.SLOT_STATE_SEALED, 100)
    found = chain.query(market_query.QueryScheduleRequest(slot=last))
    assert [(bus.bus, bus.p_mWh) for bus in found.buses] == [(2, 900_000)]
    later = chain.live()[-1]
    chain.until(later, RESIDUAL, 100)
    found = chain.query(market_query.QueryScheduleRequest(slot=later))
    assert [(bus.bus, bus.p_mWh) for bus in found.buses] == [(2, 500_000)]


def tan_phi(chain: Chain, permille: int) -> None:
    for number in range(1, CELLS + 1):
        cell = registered.cell(chain.ctx(), number)
        cell.tan_phi_permille = permille
        registered.save_cell(chain.ctx(), cell)


def feeder_of(random: Random) -> registry_pb.Feeder:
    """A chain 0-1-2 with 3..5 hanging on it, some branches weak."""
    made = star(buses=CELLS)
    parents = {1: 0, 2: 1, 3: 2, 4: 1, 5: random.choice((2, 4))}
    for branch in made.branches:
        branch.from_bus = parents[branch.to_bus]
        branch.s_max_W = random.choice((1_500, 3_000, 6_000, 40_000))
        branch.r_pu_q30 = random.randrange(2**20, 2**24)
        branch.x_pu_q30 = random.randrange(2**20, 2**24)
    return made


rows_of_orders = st.lists(
    st.tuples(st.integers(1, CELLS), st.sampled_from([BID, ASK]), st.integers(20_000, 80_000), st.integers(1, 500_000)),
    max_size=14,
)
meters = st.dictionaries(st.integers(1, CELLS), st.tuples(st.integers(0, 600_000), st.integers(0, 600_000)))
MECHANISMS = [kind for kind in sorted(mechanism.NAMES) if kind not in SUBSIDISED]


@pytest.mark.parametrize("kind", MECHANISMS)
@settings(max_examples=10, deadline=None)
@given(rows=rows_of_orders, said=meters, seed=st.integers(0, 2**32), obedient=st.booleans())
def test_money_energy_and_limits_hold_whatever_the_orders(
    kind: int, rows: list[Row], said: dict[int, tuple[int, int]], seed: int, obedient: bool
) -> None:
    random = Random(seed)
    feeder = feeder_of(random)
    chain = Chain(cells=CELLS, mechanism=kind, tariff_e4=50_000)
    tan_phi(chain, random.choice((0, 484)))
    slot = bidding(chain, feeder)
    placed: dict[int, int] = {}
    for row in rows:
        if placed.setdefault(row[0], 0) < 4:
            placed[row[0]] += 1
            chain.deliver(of_some_kind(chain.place(row[0], slot, *row[1:])))
    before = {number: cell_wealth(chain, number) for number in range(1, CELLS + 1)}
    record = chain.until(slot, pb.SLOT_STATE_METERING, 200)
    check_limits(chain, feeder, record)
    if obedient:
        found = chain.query(market_query.QueryScheduleRequest(slot=slot)).cells
        said = {int(row.bus): (row.import_mWh, row.export_mWh) for row in found}
    if said:
        chain.deliver(chain.submit(*(chain.reading(cell, slot, *energy) for cell, energy in said.items())))
    record = chain.until(slot, pb.SLOT_STATE_SETTLED, 200)
    assert (record.escrow, chain.balance(state.ESCROW), chain.held_in_all()) == ("0", 0, chain.supply)
    own = statements(chain, slot)
    gains = {row.cell: stored(row.net) for row in own}
    for number, wealth in before.items():
        held = sum(stored(order.escrow) for order in orders_of(chain, slot, number))
        assert cell_wealth(chain, number) - wealth - held == gains.get(address(number), 0)
    check_energy(record, own)
    check_root(record, own)
    check_losses(record, own)
    check_rational(chain, slot)
    if obedient:
        assert {(row.imbalance, row.penalty) for row in own} <= {("0", "0")}


def orders_of(chain: Chain, slot: int, number: int) -> list[pb.Order]:
    return list(chain.query(market_query.QueryOrdersRequest(slot=slot, cell=address(number))).orders)


def check_limits(chain: Chain, feeder: registry_pb.Feeder, record: pb.Slot) -> None:
    """No limit is broken unless firm orders alone break it, which no trade can change."""
    flow = PowerFlow(grid_of(feeder))
    found = chain.query(market_query.QueryScheduleRequest(slot=record.slot))
    if not chain.events_of("baseline_infeasible"):
        energies = [BusEnergy(bus=bus.bus, base_p_mWh=bus.p_mWh, base_q_mvarh=bus.q_mvarh) for bus in found.buses]
        assert violations(flow.grid, solve(flow, energies), SLACK) == []
    else:
        assert (record.factor_permille, record.export_permille) == (0, 0)


def check_losses(record: pb.Slot, own: list[pb.Statement]) -> None:
    price = record.clearing.price_e4 if record.clearing.volume_mWh else record.prices.cap_e4
    shared = -sum(stored(row.loss) for row in own)
    assert shared % price == 0
    if not any(row.estimated for row in own):
        assert record.loss_mWh - len(own) < shared // price <= record.loss_mWh or shared == record.loss_mWh == 0


def check_rational(chain: Chain, slot: int) -> None:
    """Nobody pays above the own price for what it bought, or gets below it for what it sold."""
    for number in range(1, CELLS + 1):
        for order in orders_of(chain, slot, number):
            got = chain.query(market_query.QueryFillRequest(slot=slot, seq=order.seq))
            limit = order.price_e4 * got.fill_mWh
            assert stored(got.amount) <= limit if order.side == BID else stored(got.amount) >= limit
            assert got.fill_mWh <= got.scheduled_mWh <= order.quantity_mWh
            assert order.kind == pb.ORDER_KIND_FLEXIBLE or got.scheduled_mWh == order.quantity_mWh


@settings(max_examples=30, deadline=None)
@given(rows=rows_of_orders, seed=st.integers(0, 2**32))
def test_an_order_pays_for_its_own_worst_case(rows: list[Row], seed: int) -> None:
    """Nothing drawn, nothing delivered: no cell's collateral is touched, whatever is let out or left to the grid."""
    random = Random(seed)
    chain = Chain(cells=CELLS)
    slot = bidding(chain, random.choice((None, feeder_of(random))))
    placed: dict[int, int] = {}
    for row in rows:
        if placed.setdefault(row[0], 0) < 4:
            placed[row[0]] += 1
            chain.deliver(of_some_kind(chain.place(row[0], slot, *row[1:])))
    chain.until(slot, pb.SLOT_STATE_METERING, 200)
    chain.deliver(chain.submit(*(chain.reading(cell, slot, 0, 0) for cell in range(1, CELLS + 1))))
    chain.until(slot, pb.SLOT_STATE_SETTLED, 200)
    for number in range(1, CELLS + 1):
        cell = chain.registry.cell(chain.ctx(), number)
        assert (cell.collateral, stored(cell.arrears)) == (str(RICH), 0)


@pytest.mark.parametrize("acts", [True, False])
def test_losses_are_those_of_a_power_flow_and_are_paid_by_energy(acts: bool) -> None:
    """Reactive power of a cell with orders follows its tan phi, that of one without is in the forecast."""
    chain, feeder = Chain(cells=CELLS), star(buses=CELLS)
    for branch in feeder.branches:
        branch.from_bus = branch.to_bus - 1
        branch.s_max_W = 400_000
    tan_phi(chain, 484)
    chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder))
    chain.block()
    slot = chain.live()[-1] + 1
    chain.until(slot, pb.SLOT_STATE_FORECAST, 100)
    said = [tx.BusBaseline(bus=4, p_mWh=77, q_mvarh=-300_000)]
    chain.deliver(tx.MsgPostForecast(utility=UTILITY, slot=slot, floor_e4=20_000, cap_e4=70_000, buses=said))
    chain.until(slot, pb.SLOT_STATE_BIDDING, 100)
    if acts:
        for number in range(1, CELLS + 1):
            chain.deliver(chain.place(number, slot, BID, 20_000, 1))
    energy = {1: (900_000, 0), 2: (0, 500_000), 3: (1_700_000, 0), 4: (40_000, 20_000), 5: (800_001, 0)}
    chain.until(slot, pb.SLOT_STATE_METERING, 200)
    chain.deliver(chain.submit(*(chain.reading(cell, slot, *row) for cell, row in energy.items())))
    record = chain.until(slot, pb.SLOT_STATE_SETTLED, 200)
    net = {cell: bought - sold for cell, (bought, sold) in energy.items()}
    metered = [
        BusEnergy(bus=bus, base_p_mWh=p, base_q_permille=p * 484 * acts, base_q_mvarh=-300_000 if bus == 4 else 0)
        for bus, p in net.items()
    ]
    flow = PowerFlow(grid_of(feeder))
    expected = solve(flow, metered).losses * feeder.s_base_W * MWH_PER_W
    assert record.loss_mWh == pytest.approx(expected, rel=1e-4, abs=2)
    assert record.loss_mWh > 10_000
    total = sum(abs(value) for value in net.values())
    assert {row.cell: stored(row.loss) for row in statements(chain, slot)} == {
        address(cell): -70_000 * (abs(value) * record.loss_mWh // total) for cell, value in net.items()
    }
