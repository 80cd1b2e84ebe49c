"""Agents decide from what a chain shows: once a slot, inside ratings and band, readings that continue."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from bsmg.client.errors import NodeError
from bsmg.client.feed import Head
from bsmg.client.lane import TxOutcome
from cosmos_wire.ed25519 import public_key, verify
from cosmos_wire.protos import Message, market, market_tx, meter_tx
from energy.meter.reading import sign_bytes
from utility_cell.agents.cell import CellAgent, CellIdentity
from utility_cell.agents.concentrator import batches
from utility_cell.agents.run import DEFAULT_DAY, Runner
from utility_cell.agents.utility import UtilityAgent
from utility_cell.agents.view import MarketView
from utility_cell.bidding import MIN_ORDER_mWh
from utility_cell.fleet import CellSpec, load_fleet
from utility_cell.profiles import first_quarter, load_profiles
from utility_cell.world import Calendar, forecast_mWh, net_mWh

FIRST = 1_000
CHAIN = "mga-1"
SEED = sha256(b"meter").digest()
PROFILES, FLEET = load_profiles(), load_fleet("sunny")
NOON = first_quarter(DEFAULT_DAY) + 48
CALENDAR = Calendar(first_slot=FIRST, first_quarter=NOON, slots=4)


def slot(number: int, state: market.SlotState.ValueType, **fields: Any) -> market.Slot:
    made = market.Slot(slot=number, state=state, **fields)
    made.prices.floor_e4, made.prices.cap_e4 = 20_000, 80_000
    made.params.floor_e4, made.params.cap_e4 = 20_000, 80_000
    return made


def view(*slots: market.Slot) -> MarketView:
    return MarketView(head=Head(height=9, time_ns=1), slots={each.slot: each for each in slots})


def cell(index: int = 0) -> CellAgent:
    identity = CellIdentity(chain_id=CHAIN, address="bsmg1cell", device="home-01-meter@mga", device_seed=SEED)
    return CellAgent(spec=FLEET.cells[index], identity=identity, calendar=CALENDAR, profiles=PROFILES, seed=1)


def utility() -> UtilityAgent:
    return UtilityAgent(address="bsmg1utility", fleet=FLEET, calendar=CALENDAR, profiles=PROFILES)


def test_a_cell_orders_once_a_slot_and_only_in_slots_of_the_day() -> None:
    agent = cell()
    seen = view(
        slot(FIRST, market.SLOT_STATE_BIDDING),
        slot(FIRST + 1, market.SLOT_STATE_FORECAST),
        slot(FIRST + 4, market.SLOT_STATE_BIDDING),  # after the day's end
    )
    (order,) = agent.orders(seen)
    assert isinstance(order, market_tx.MsgPlaceOrder)
    assert (order.slot, order.cell) == (FIRST, "bsmg1cell")
    assert order.side == market.SIDE_ASK  # a roof at noon
    assert 20_000 <= order.price_e4 <= 80_000
    assert list(agent.orders(seen)) == []


def test_readings_are_signed_and_their_totals_continue() -> None:
    agent = cell()
    states = market.SLOT_STATE_METERING
    messages = list(agent.readings(view(slot(FIRST + 1, states), slot(FIRST, states))))
    imported = exported = 0
    for number, reading in zip((FIRST, FIRST + 1), messages, strict=True):
        net = net_mWh(PROFILES, FLEET.cells[0], CALENDAR.quarter(number))
        assert reading.slot == number
        assert reading.import_mWh - reading.export_mWh == net
        imported, exported = imported + reading.import_mWh, exported + reading.export_mWh
        assert (reading.import_total_mWh, reading.export_total_mWh) == (imported, exported)
        assert verify(public_key(SEED), sign_bytes(CHAIN, reading), reading.signature)
        assert not verify(public_key(SEED), sign_bytes("mgb-1", reading), reading.signature)


def test_the_forecast_names_every_bus_once() -> None:
    agent = utility()
    (message,) = agent.forecasts(view(slot(FIRST, market.SLOT_STATE_FORECAST)))
    assert isinstance(message, market_tx.MsgPostForecast)
    buses = [entry.bus for entry in message.buses]
    assert buses == sorted({each.bus for each in FLEET.cells})
    assert (message.floor_e4, message.cap_e4) == (20_000, 80_000)


def test_a_cells_orders_say_what_they_mean() -> None:
    shop = next(spec for spec in load_fleet("sce56").cells if spec.critical_permille and spec.shiftable)
    agent = replace_spec(shop)
    seen = view(slot(FIRST, market.SLOT_STATE_BIDDING))
    kinds = {order.kind: order for order in agent.orders(seen) if isinstance(order, market_tx.MsgPlaceOrder)}
    assert {market.ORDER_KIND_FIRM, market.ORDER_KIND_CRITICAL} <= set(kinds)
    assert kinds[market.ORDER_KIND_CRITICAL].price_e4 == 80_000
    forecast = forecast_mWh(PROFILES, shop, NOON)
    assert sum(order.quantity_mWh for kind, order in kinds.items() if kind != market.ORDER_KIND_FLEXIBLE) == forecast


def replace_spec(spec: CellSpec) -> CellAgent:
    return CellAgent(spec=spec, identity=cell().identity, calendar=CALENDAR, profiles=PROFILES, seed=1)


def test_the_last_price_is_that_of_the_latest_cleared_slot() -> None:
    old, late, open_ = (slot(FIRST + n, market.SLOT_STATE_RESIDUAL) for n in range(3))
    old.clearing.price_e4, late.clearing.price_e4 = 30_000, 70_000
    assert view(old, late, open_).last_price_e4 == 70_000
    assert view(open_).last_price_e4 is None


def test_the_baseline_is_what_places_no_orders() -> None:
    """Capacitors of the feeder, and cells too small to bother; everybody else's orders say it."""
    fleet = load_fleet("sce56")
    agent = UtilityAgent(address="bsmg1utility", fleet=fleet, calendar=CALENDAR, profiles=PROFILES, feeder="sce56")
    (message,) = agent.forecasts(view(slot(FIRST, market.SLOT_STATE_FORECAST)))
    assert isinstance(message, market_tx.MsgPostForecast)
    reactive = {entry.bus: entry.q_mvarh for entry in message.buses if entry.q_mvarh}
    assert reactive == dict.fromkeys((19, 21, 30, 53), -600_000 * 250)
    assert all(abs(entry.p_mWh) < 2 * MIN_ORDER_mWh for entry in message.buses)


def test_a_slots_readings_travel_together() -> None:
    readings = [
        meter_tx.Reading(device=f"d{number:04d}", slot=FIRST + number % 2, import_mWh=number) for number in range(1_100)
    ]
    sent = list(batches("bsmg1utility", readings[::-1]))
    assert [len(message.readings) for message in sent] == [500, 50, 500, 50]
    assert [message.readings[0].slot for message in sent] == [FIRST, FIRST, FIRST + 1, FIRST + 1]
    assert sorted(r.device for m in sent for r in m.readings) == sorted(r.device for r in readings)


class FakeLane:
    """Takes messages, or fails as its mood says."""

    def __init__(self, address: str, fails: Exception | None = None, code: int = 0) -> None:
        self.address, self.fails, self.code = address, fails, code
        self.sent: list[Message] = []

    async def submit(self, messages: list[Message]) -> TxOutcome:
        if self.fails is not None:
            raise self.fails
        self.sent += messages
        return TxOutcome(height=7, code=self.code, codespace="x", log="no", events=(), tx_hash="")


class Away:
    """A chain that is asked nothing but its name."""

    chain_id = CHAIN


async def metered(utility_lane: FakeLane) -> tuple[list[Message], list[Message]]:
    """What utility cell and cells sent for a slot of two cells."""
    agents = [cell(0), cell(1)]
    agents[1].identity = replace(agents[1].identity, device="home-02-meter@mga")
    lanes = [FakeLane(f"bsmg1cell{number}") for number in range(2)]
    grid: Any = SimpleNamespace(chain=Away(), cells=list(zip(agents, lanes, strict=True)), utility_lane=utility_lane)
    runner = Runner(grid)
    runner.meter(view(slot(FIRST, market.SLOT_STATE_METERING)))
    while runner.tasks:
        await asyncio.gather(*runner.tasks)
    return utility_lane.sent, [message for lane in lanes for message in lane.sent]


async def test_the_concentrator_sends_all_readings_in_one_message() -> None:
    sent, own = await metered(FakeLane("bsmg1utility"))
    (message,) = sent
    assert isinstance(message, meter_tx.MsgSubmitReadings)
    assert [reading.device for reading in message.readings] == ["home-01-meter@mga", "home-02-meter@mga"]
    assert own == []


@pytest.mark.parametrize(
    "lane", [FakeLane("bsmg1utility", NodeError("submit", "node", "gone")), FakeLane("bsmg1utility", code=5)]
)
async def test_cells_send_their_own_when_the_concentrator_cannot(lane: FakeLane) -> None:
    _, own = await metered(lane)
    assert [(message.sender, len(message.readings)) for message in own] == [("bsmg1cell0", 1), ("bsmg1cell1", 1)]  # type: ignore[attr-defined]  # readings
