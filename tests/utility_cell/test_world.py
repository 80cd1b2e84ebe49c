"""Profiles, fleets, forecasts and orders: what the simulated day is made of."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ToolError
from utility_cell.bidding import Band, MIN_ORDER_mWh, share_permille, wish
from utility_cell.fleet import fleet_names, load_fleet
from utility_cell.profiles import QUARTERS_PER_DAY, SCALE, first_quarter, load_profiles
from utility_cell.world import MWH_PER_W_QUARTER, Calendar, forecast_mWh, net_mWh

BAND = Band(floor_e4=20_000, cap_e4=80_000)


def test_every_series_is_a_year_of_fractions() -> None:
    profiles = load_profiles()
    assert profiles.quarters == 366 * QUARTERS_PER_DAY
    for name, series in profiles.series.items():
        assert len(series) == profiles.quarters, name
        assert min(series) >= 0, name
        assert max(series) <= SCALE, name


def test_the_sun_does_not_shine_at_midnight() -> None:
    start = first_quarter(date(2016, 6, 21))
    powers = [load_profiles().power_W("PV1", 10_000, start + q) for q in range(QUARTERS_PER_DAY)]
    assert powers[0] == 0
    assert max(powers) > 1_000


@pytest.mark.parametrize("day", [date(2016, 1, 7), date(2017, 1, 1), date(2015, 12, 31)])
def test_a_day_without_history_is_refused(day: date) -> None:
    with pytest.raises(ToolError, match=r"2016-01-08 to 2016-12-31.*got"):
        first_quarter(day)


@pytest.mark.parametrize(("quarter", "slots"), [(95, 2), (1, 96), (39, 0), (-1, 1), (96, 1)])
def test_quarter_hours_beyond_the_year_or_the_day_are_refused(quarter: int, slots: int) -> None:
    """Agents found out in the middle of the day."""
    with pytest.raises(ToolError, match=r"expected .*, got -?\d+"):
        first_quarter(date(2016, 12, 31), quarter, slots)


def test_the_years_last_quarter_hour_can_be_traded() -> None:
    profiles = load_profiles()
    last = first_quarter(date(2016, 12, 31), 95, 1)
    assert last == profiles.quarters - 1
    cell = load_fleet("sunny").cells[0]
    assert isinstance(net_mWh(profiles, cell, last), int)
    assert first_quarter(date(2016, 12, 30), 95, 96) == last - 96


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ToolError, match=r"'moon'.*sunny, windy"):
        load_fleet("moon")
    with pytest.raises(ToolError, match=r"'PV99'.*PV1"):
        load_profiles().column("PV99")


@pytest.mark.parametrize("name", fleet_names())
def test_a_fleet_is_big_enough_and_never_above_its_ratings(name: str) -> None:
    fleet, profiles = load_fleet(name), load_profiles()
    assert len(fleet.cells) >= 12
    assert len({cell.name for cell in fleet.cells}) == len(fleet.cells)
    for cell in fleet.cells:
        nets = [net_mWh(profiles, cell, q) for q in range(0, profiles.quarters, 7)]
        assert max(nets) <= cell.max_import_W * MWH_PER_W_QUARTER, cell.name
        assert -min(nets) <= cell.max_export_W * MWH_PER_W_QUARTER, cell.name


def test_the_demo_day_trades_in_both_directions_and_falls_short() -> None:
    profiles, sunny, windy = load_profiles(), load_fleet("sunny"), load_fleet("windy")
    start = first_quarter(date(2016, 4, 26))
    day = range(start, start + QUARTERS_PER_DAY)
    a = [sum(forecast_mWh(profiles, c, q) for c in sunny.cells) for q in day]
    b = [sum(forecast_mWh(profiles, c, q) for c in windy.cells) for q in day]
    sold = [min(-x, y) for x, y in zip(a, b, strict=True)]
    real = [sum(net_mWh(profiles, c, q) for c in sunny.cells) for q in day]
    assert sum(x < 0 < y for x, y in zip(a, b, strict=True)) >= 24
    assert sum(y < 0 < x for x, y in zip(a, b, strict=True)) >= 24
    assert any(0 <= max(0, -net) < s for net, s in zip(real, sold, strict=True) if s > 0)


def test_the_calendar_repeats_its_day() -> None:
    calendar = Calendar(first_slot=1_000, first_quarter=960)
    assert [calendar.quarter(s) for s in (1_000, 1_095, 1_096)] == [960, 1_055, 960]


@given(net=st.integers(-(10**9), 10**9), limit=st.integers(0, 10**9), mood=st.integers(0, 999))
def test_an_order_stays_in_the_band_and_below_the_limit(net: int, limit: int, mood: int) -> None:
    order = wish(BAND, net, limit, mood)
    if order is None:
        assert min(abs(net), limit) < MIN_ORDER_mWh
        return
    assert order.is_bid == (net > 0)
    assert order.quantity_mWh == min(abs(net), limit)
    assert BAND.floor_e4 <= order.price_e4 <= BAND.cap_e4


@given(seed=st.integers(0, 2**32), slot=st.integers(0, 2**40))
def test_a_mood_depends_on_seed_cell_and_slot_alone(seed: int, slot: int) -> None:
    assert share_permille(seed, "home-01", slot) == share_permille(seed, "home-01", slot)
    assert 0 <= share_permille(seed, "home-01", slot) < 1_000
