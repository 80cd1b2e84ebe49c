"""Volt/var control by ADMM against the same problem solved in one place, and against the AC power flow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from energy.grid.network import Network, network_of
from physics.feeders import random_radial, sce56
from physics.powerflow import PowerFlow, grid_of
from physics.voltage import Control, Inverter, Settings, control, sensitivity, voltages

CASE = sce56(900, 1100)


def loads(permille: int = 1000) -> tuple[Network, np.ndarray, np.ndarray]:
    net = network_of(CASE.feeder)
    p, q = np.zeros(net.size), np.zeros(net.size)
    for site in CASE.sites:
        p[net.index[site.bus]] += site.peak_W * permille / 1e9
        q[net.index[site.bus]] += site.peak_var * permille / 1e9
    return net, p, q


def in_one_place(net: Network, p: np.ndarray, q: np.ndarray, limits: np.ndarray, settings: Settings) -> np.ndarray:
    """The least squares of the same objective, by scipy."""
    start = voltages(net, p, q)[1:]
    slopes = np.column_stack([voltages(net, p, q - unit)[1:] - start for unit in np.eye(net.size)[1:]])
    stacked = np.vstack([slopes, np.sqrt(settings.effort) * np.eye(net.size - 1)])
    right = np.concatenate([settings.v_ref - start, np.zeros(net.size - 1)])
    bound = np.maximum(limits[1:], 1e-12)
    found = lsq_linear(stacked, right, (-bound, bound), tol=1e-14)
    return np.concatenate([[0.0], found.x])


def objective(net: Network, found: np.ndarray, v: np.ndarray, settings: Settings) -> float:
    return float(np.sum((v[1:] - settings.v_ref) ** 2) + settings.effort * np.sum(found[1:] ** 2))


def some_inverters(net: Network, limit: float) -> np.ndarray:
    limits = np.zeros(net.size)
    limits[::3] = limit
    limits[0] = 0
    return limits


@pytest.mark.parametrize("limit", [0.02, 1.0], ids=["limits bind", "free"])
def test_inverters_find_what_one_place_finds(limit: float) -> None:
    net, p, q = loads()
    limits, settings = some_inverters(net, limit), Settings()
    found = control(net, p, q, limits, settings)
    best = in_one_place(net, p, q, limits, settings)
    ours, theirs = (
        objective(net, found.injected, found.v, settings),
        objective(net, best, voltages(net, p, q - best), settings),
    )
    assert np.all(np.abs(found.injected) <= limits + 1e-9)
    assert abs(ours - theirs) < 1e-3 * theirs
    assert np.max(np.abs(found.v - voltages(net, p, q - best))) < 1e-4


def test_a_random_feeder_too() -> None:
    case = random_radial(2, 20)
    net = network_of(case.feeder)
    p, q = (np.zeros(net.size) for _ in range(2))
    for site in case.sites:
        p[net.index[site.bus]], q[net.index[site.bus]] = site.peak_W / 1e6, site.peak_var / 1e6
    limits, settings = np.full(net.size, 0.1), Settings()
    found, best = control(net, p, q, limits, settings), in_one_place(net, p, q, limits, settings)
    theirs = objective(net, best, voltages(net, p, q - best), settings)
    assert objective(net, found.injected, found.v, settings) < theirs * 1.001


def test_voltages_of_the_real_feeder_come_closer_to_nominal() -> None:
    net, p, q = loads()
    found: Control = control(net, p, q, some_inverters(net, 0.1))
    flow = PowerFlow(grid_of(CASE.feeder))
    order = [net.index[bus] for bus in flow.grid.buses]
    before, after = (flow.solve(p[order], reactive[order]).v for reactive in (q, q - found.injected))
    assert np.max(np.abs(after - 1)) < 0.7 * np.max(np.abs(before - 1))


def test_sensitivities_are_the_change_of_the_voltages() -> None:
    net, p, q = loads()
    start = voltages(net, p, q)
    by_hand = np.column_stack([voltages(net, p, q - unit) - start for unit in np.eye(net.size)])
    assert np.max(np.abs(sensitivity(net) - by_hand)) < 1e-12


def test_an_inverter_never_leaves_its_limit() -> None:
    inverter = Inverter(limit=0.1, effort=0.02)
    assert inverter.answer(5.0, 0.3) == 0.1
    assert inverter.answer(-5.0, 0.3) == -0.1
    assert inverter.answer(0.05, 0.3) == pytest.approx(0.05 * 0.3 / 0.34)
