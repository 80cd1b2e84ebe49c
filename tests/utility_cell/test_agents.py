"""Agents decide from what a chain shows: once a slot, inside ratings and band, readings that continue."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from bsmg.client.feed import Head
from cosmos_wire.ed25519 import public_key, verify
from cosmos_wire.protos import market, market_tx
from energy.meter.reading import sign_bytes
from utility_cell.agents.cell import CellAgent, CellIdentity
from utility_cell.agents.run import DEFAULT_DAY
from utility_cell.agents.utility import UtilityAgent
from utility_cell.agents.view import MarketView
from utility_cell.fleet import load_fleet
from utility_cell.profiles import first_quarter, load_profiles
from utility_cell.world import Calendar, net_mWh

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
