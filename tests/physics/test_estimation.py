"""State estimation: exact on honest meters, finds gross errors, and can't find what looks like another state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from physics.errors import ObservabilityError
from physics.estimation import Estimator, Meter, Quantity, readings_of
from physics.feeders import sce56
from physics.powerflow import Floats, PowerFlow, grid_of, withdrawals

CASE = sce56(900, 1100)
GRID = grid_of(CASE.feeder)
SIGMA = 1e-3
BRANCH = (Quantity.P_FROM, Quantity.Q_FROM)
AT_BUSES = (Quantity.VOLTAGE, Quantity.P_BUS, Quantity.Q_BUS)


def state(load_permille: int = 1000) -> tuple[list[Meter], Floats, Floats, Floats]:
    p, q = withdrawals(GRID, [site.baseline(load_permille) for site in CASE.sites])
    flow = PowerFlow(GRID).solve(p, q)
    p, q = p.copy(), q.copy()
    out = GRID.from_bus == GRID.root
    p[GRID.root], q[GRID.root] = -np.sum(flow.p_from[out]), -np.sum(flow.q_from[out])
    return readings_of(flow, p, q, SIGMA), flow.v, p, q


def only(meters: list[Meter], *quantities: Quantity) -> list[Meter]:
    return [meter for meter in meters if meter.quantity in quantities]


def noisy(meters: list[Meter], seed: int) -> list[Meter]:
    noise = np.random.default_rng(seed).normal(0, SIGMA, len(meters))
    return [replace(meter, value=meter.value + float(e)) for meter, e in zip(meters, noise, strict=True)]


def test_exact_readings_give_the_exact_state() -> None:
    meters, v, p, q = state()
    found = Estimator(GRID).estimate(only(meters, *AT_BUSES, *BRANCH))
    assert np.max(np.abs(found.v - v)) < 1e-8
    assert np.max(np.abs(found.p - p)) < 1e-7
    assert np.max(np.abs(found.q - q)) < 1e-7
    assert found.bad == ()


def test_honest_noise_is_smoothed_and_nobody_is_accused() -> None:
    meters, v, _, _ = state()
    estimator = Estimator(GRID)
    for seed in range(10):
        read = noisy(only(meters, *AT_BUSES, *BRANCH), seed)
        found = estimator.estimate(read)
        assert found.bad == ()
        assert np.sqrt(np.mean((found.v - v) ** 2)) < SIGMA / 2
        assert 0.5 < found.squares / found.freedom < 1.6


@pytest.mark.parametrize("quantity", [Quantity.P_BUS, Quantity.Q_BUS])
def test_with_all_branches_metered_every_gross_error_is_identified(quantity: Quantity) -> None:
    meters, _, p, _ = state()
    read = noisy(only(meters, *AT_BUSES, *BRANCH), 3)
    estimator = Estimator(GRID)
    for bus in range(len(GRID.buses)):
        at = next(i for i, m in enumerate(read) if (m.quantity, m.place) == (quantity, bus))
        lying = [*read]
        lying[at] = replace(read[at], value=read[at].value + 20 * SIGMA)
        found = estimator.estimate(lying)
        assert found.bad == (at,), GRID.buses[bus]
        assert abs(found.p[bus] - p[bus]) < 5 * SIGMA


def test_with_few_branches_metered_it_is_detected_though_not_always_identified() -> None:
    meters, _, _, _ = state()
    some = [m for m in only(meters, *AT_BUSES, *BRANCH) if m.quantity not in BRANCH or m.place % 3 == 0]
    read = noisy(some, 4)
    estimator, detected = Estimator(GRID), 0
    for bus in range(0, len(GRID.buses), 5):
        at = next(i for i, m in enumerate(read) if (m.quantity, m.place) == (Quantity.P_BUS, bus))
        lying = [*read]
        lying[at] = replace(read[at], value=read[at].value + 50 * SIGMA)
        detected += bool(estimator.estimate(lying).bad)
    assert detected == len(range(0, len(GRID.buses), 5))


def test_two_liars_are_both_found() -> None:
    meters, _, _, _ = state()
    read = noisy(only(meters, *AT_BUSES, *BRANCH), 5)
    places = [next(i for i, m in enumerate(read) if (m.quantity, m.place) == (Quantity.P_BUS, bus)) for bus in (10, 40)]
    for at in places:
        read[at] = replace(read[at], value=read[at].value - 30 * SIGMA)
    assert sorted(Estimator(GRID).estimate(read).bad) == sorted(places)


def test_an_attack_along_the_model_is_not_seen() -> None:
    """The limit of the method, shown: readings of another state are readings of another state."""
    (honest, _, _, _), (other, _, _, _) = state(1000), state(900)
    noise = [m.value - h.value for m, h in zip(noisy(honest, 6), honest, strict=True)]
    attacked = [replace(m, value=m.value + e) for m, e in zip(other, noise, strict=True)]
    kinds = (*AT_BUSES, *BRANCH)
    estimator = Estimator(GRID)
    found, true = estimator.estimate(only(attacked, *kinds)), estimator.estimate(only(noisy(honest, 6), *kinds))
    assert found.bad == true.bad == ()
    assert abs(found.squares - true.squares) < 0.1 * true.squares


def test_too_few_meters_and_blind_spots_are_said() -> None:
    meters, _, _, _ = state()
    with pytest.raises(ObservabilityError, match="don't determine 111 unknowns of 56 buses"):
        Estimator(GRID).estimate(only(meters, Quantity.VOLTAGE))
    blind = [m for m in only(meters, Quantity.VOLTAGE, *BRANCH) if m.quantity not in BRANCH or m.place != 17]
    with pytest.raises(ObservabilityError):
        Estimator(GRID).estimate(blind + only(meters, Quantity.VOLTAGE))


def test_meters_that_no_other_checks_are_named() -> None:
    """One voltage and the withdrawals alone are just enough: nothing is redundant, so nothing can be accused."""
    meters, v, _, _ = state()
    root = GRID.root
    just = [m for m in only(meters, Quantity.P_BUS, Quantity.Q_BUS) if m.place != root]
    just += [m for m in only(meters, Quantity.VOLTAGE) if m.place == root]
    found = Estimator(GRID).estimate(just)
    assert found.critical == tuple(range(len(just)))
    assert np.max(np.abs(found.v - v)) < 1e-7
