"""Bounds of price and power: they hold what the profiles do, and say when the cap may fall."""

from __future__ import annotations

import numpy as np
import pytest

from cosmos_wire.protos import market, market_tx
from tests.utility_cell.test_agents import slot, view
from utility_cell.agents.utility import UtilityAgent
from utility_cell.bidding import Band
from utility_cell.fleet import load_fleet
from utility_cell.forecast import Bounds, Expected, Forecaster
from utility_cell.forecast.bounds import price_e4
from utility_cell.profiles import QUARTERS_PER_DAY, QUARTERS_PER_WEEK, load_profiles
from utility_cell.world import Calendar, net_mWh

PROFILES, FLEET = load_profiles(), load_fleet("sce56")
BAND = Band(floor_e4=20_000, cap_e4=80_000)
BOUNDS = Bounds(forecaster=Forecaster(profiles=PROFILES), cells=FLEET.cells)
NOON = 20 * QUARTERS_PER_WEEK + 48


@pytest.mark.parametrize(
    ("demand", "supply", "price"),
    [(1, 1, 50_000), (1, 0, 80_000), (0, 1, 20_000), (0, 0, 50_000), (3, 1, 68_000), (1, 3, 32_000)],
)
def test_the_price_lies_where_demand_and_supply_meet(demand: float, supply: float, price: float) -> None:
    assert price_e4(demand, supply, BAND) == pytest.approx(price, abs=1)


def test_bounds_hold_what_really_happens_most_of_the_time() -> None:
    inside = []
    for quarter in range(NOON, NOON + 5 * QUARTERS_PER_DAY, 11):
        found = BOUNDS.of(quarter, BAND)
        nets = dict.fromkeys(found.buses, 0)
        for cell in FLEET.cells:
            nets[cell.bus] += net_mWh(PROFILES, cell, quarter)
        inside += [low <= nets[bus] <= high for bus, (low, high) in found.buses.items()]
        inside.append(found.total[0] <= sum(nets.values()) <= found.total[1])
        assert BAND.floor_e4 <= found.price_low_e4 <= found.price_high_e4 <= BAND.cap_e4
    assert 0.85 <= np.mean(inside) <= 0.995


def expected(total_high: int) -> Expected:
    return Expected(price_low_e4=30_000, price_high_e4=45_000, buses={}, total=(-9, total_high))


@pytest.mark.parametrize(
    ("total_high", "marginal", "cap"),
    [(1, 30_000, 80_000), (-1, None, 80_000), (-1, 30_000, 45_000), (-1, 52_000, 52_000), (-1, 99_000, 80_000)],
    ids=["may be short", "nothing certified", "price bound", "marginal price", "tariff"],
)
def test_the_cap_falls_only_where_nothing_has_to_be_bought_at_it(total_high: int, marginal, cap: int) -> None:
    assert expected(total_high).cap_e4(BAND, marginal) == cap


def test_the_forecast_message_carries_them() -> None:
    agent = UtilityAgent(
        address="bsmg1utility",
        fleet=FLEET,
        calendar=Calendar(first_slot=1_000, first_quarter=NOON),
        profiles=PROFILES,
        expect=BOUNDS.forecaster,
        bounds=BOUNDS,
    )
    (message,) = agent.forecasts(view(slot(1_000, market.SLOT_STATE_FORECAST)))
    assert isinstance(message, market_tx.MsgPostForecast)
    found = BOUNDS.of(NOON, BAND)
    assert (message.price_low_e4, message.price_high_e4) == (found.price_low_e4, found.price_high_e4)
    assert message.floor_e4 == 20_000
    assert all(bus.net_low_mWh <= bus.net_high_mWh for bus in message.buses)
    agent.marginal_e4 = lambda: 1
    agent.forecast.clear()
    (lower,) = agent.forecasts(view(slot(1_000, market.SLOT_STATE_FORECAST)))
    assert isinstance(lower, market_tx.MsgPostForecast)
    assert lower.cap_e4 == (80_000 if found.total[1] > 0 else found.price_high_e4)
    assert lower.price_high_e4 <= lower.cap_e4
    assert {bus.bus: (bus.net_low_mWh, bus.net_high_mWh) for bus in message.buses} == found.buses
