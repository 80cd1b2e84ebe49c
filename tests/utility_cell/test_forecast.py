"""The default forecast beats the seasonal naive one on weeks that it never saw, and knows how wrong it may be."""

from __future__ import annotations

import numpy as np
import pytest

from utility_cell.fleet import load_fleet
from utility_cell.forecast import Forecaster
from utility_cell.forecast.models import HORIZON, fit, naive
from utility_cell.profiles import QUARTERS_PER_WEEK, Profiles, load_profiles
from utility_cell.world import forecast_mWh, net_mWh

PROFILES = load_profiles()
FLEET = load_fleet("sce56")
HELD_OUT = (10, 15, 20, 25, 30, 35, 40, 45, 50)  # weeks of 2016; each is forecast by a fit on the eight before it


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster(profiles=PROFILES)


@pytest.mark.parametrize("name", sorted(PROFILES.series))
def test_the_default_beats_the_baseline_on_held_out_weeks(name: str) -> None:
    """For every profile, by a fifth in the mean and in the root of the mean square."""
    series = np.array(PROFILES.series[name], dtype=float)
    errors: tuple[list, list] = [], []
    for week in HELD_OUT:
        at = np.arange(week * QUARTERS_PER_WEEK, (week + 1) * QUARTERS_PER_WEEK)
        errors[0].append(naive(series, at, name) - series[at])
        errors[1].append(fit(series, int(at[0])).predict(series, at) - series[at])
    before, after = (np.concatenate(rows) for rows in errors)
    assert np.mean(np.abs(after)) <= 0.8 * np.mean(np.abs(before))
    assert np.mean(after**2) <= 0.8**2 * np.mean(before**2)


def test_a_microgrids_balance_is_forecast_better_and_bounds_hold_as_often_as_they_say(forecaster: Forecaster) -> None:
    ours, theirs, inside = [], [], []
    for quarter in range(30 * QUARTERS_PER_WEEK, 31 * QUARTERS_PER_WEEK, 7):
        true = sum(net_mWh(PROFILES, cell, quarter) for cell in FLEET.cells)
        found = forecaster.nets([FLEET.cells], quarter)
        ours.append(abs(found.mean[0] - true))
        theirs.append(abs(sum(forecast_mWh(PROFILES, cell, quarter) for cell in FLEET.cells) - true))
        low, high = found.bounds(2.0)
        inside.append(low[0] <= true <= high[0])
    assert np.mean(ours) <= 0.5 * np.mean(theirs)
    assert 0.85 <= np.mean(inside) <= 0.99


def test_nothing_is_known_of_what_is_not_metered_yet(forecaster: Forecaster) -> None:
    """Another future after t - HORIZON gives the same forecast of t, the same fit of its week, the same covariance."""
    quarter = 20 * QUARTERS_PER_WEEK + 301
    other = Forecaster(
        profiles=Profiles(
            {
                n: (*v[: quarter - HORIZON + 1], *(9_999 for _ in v[quarter - HORIZON + 1 :]))
                for n, v in PROFILES.series.items()
            }
        )
    )
    mine, theirs = forecaster.outlook(quarter).moments, other.outlook(quarter).moments
    assert np.array_equal(mine.mean, theirs.mean)
    assert np.array_equal(mine.covariance, theirs.covariance)
    late = forecaster.outlook(quarter + 1).moments.mean
    assert not np.array_equal(late, other.outlook(quarter + 1).moments.mean)


def test_without_history_it_is_the_baseline() -> None:
    forecaster, quarter = Forecaster(profiles=PROFILES), QUARTERS_PER_WEEK + 50
    for cell in FLEET.cells:
        assert abs(forecaster.net_mWh(cell, quarter) - forecast_mWh(PROFILES, cell, quarter)) <= 250 * 4
    stubborn = Forecaster(profiles=PROFILES, baseline=True)
    late = 30 * QUARTERS_PER_WEEK
    assert stubborn(PROFILES, FLEET.cells[0], late) == forecast_mWh(PROFILES, FLEET.cells[0], late)


def test_cells_add_up_to_buses(forecaster: Forecaster) -> None:
    quarter = 25 * QUARTERS_PER_WEEK + 50
    found = forecaster.nets([[cell] for cell in FLEET.cells], quarter)
    total = forecaster.nets([FLEET.cells], quarter)
    assert found.mean.sum() == pytest.approx(total.mean[0])
    assert found.covariance.sum() == pytest.approx(total.covariance[0, 0])
    assert np.min(np.linalg.eigvalsh(found.covariance)) > -1e-6 * np.max(found.covariance)
    for cell, mean in zip(FLEET.cells, found.mean, strict=True):
        assert (
            abs(forecaster.net_mWh(cell, quarter) - mean)
            <= 0.51e-4 * 250 * 2 * (cell.max_import_W + cell.max_export_W) + 250 * 4
        )
