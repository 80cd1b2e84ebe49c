"""Storage, cars, photovoltaics, voltage-dependent loads, and the unscented transform."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physics.devices import Photovoltaics, Storage, Vehicle, Zip, solve_zip
from physics.errors import ModelError
from physics.feeders import sce56
from physics.forecast import Moments, sigma_points, transform
from physics.powerflow import PowerFlow, grid_of, withdrawals

HOURS = 0.25
storages = st.builds(
    Storage,
    capacity_Wh=st.floats(1e3, 1e5),
    charge_max_W=st.floats(0, 1e5),
    discharge_max_W=st.floats(0, 1e5),
    charge_efficiency=st.floats(0.5, 1),
    discharge_efficiency=st.floats(0.5, 1),
)


@given(storages, st.floats(0, 1), st.lists(st.floats(-1e5, 1e5), max_size=30))
def test_storage_keeps_its_limits_and_creates_no_energy(storage: Storage, fill: float, wishes: list[float]) -> None:
    start = energy = storage.capacity_Wh * (storage.soc_min + fill * (storage.soc_max - storage.soc_min))
    taken = 0.0
    for wish in wishes:
        energy, real = storage.step(energy, wish, HOURS)
        slack = 1e-9 * storage.capacity_Wh
        assert storage.soc_min * storage.capacity_Wh - slack <= energy <= storage.soc_max * storage.capacity_Wh + slack
        assert -storage.discharge_max_W <= real <= storage.charge_max_W
        assert abs(real) <= abs(wish)
        taken += real * HOURS
    assert energy - start <= taken + 1e-6


def test_a_round_trip_loses_both_efficiencies() -> None:
    storage = Storage(capacity_Wh=10_000, charge_max_W=4_000, discharge_max_W=4_000)
    energy, drawn = storage.step(5_000, 4_000, HOURS)
    _, fed = storage.step(energy, -1e9, (energy - 5_000) / 4_000 * 0.95)
    assert abs(fed * (energy - 5_000) / 4_000 * 0.95) == pytest.approx(drawn * HOURS * 0.95**2)


@given(
    st.integers(0, 20), st.integers(1, 20), st.floats(0, 50_000), st.lists(st.floats(0, 1), min_size=24, max_size=24)
)
def test_a_car_charges_only_while_it_stays_and_in_its_cheapest_steps(
    first: int, stay: int, demand: float, prices: list[float]
) -> None:
    car = Vehicle(demand_Wh=demand, power_max_W=11_000, first=first, last=first + stay)
    powers = car.schedule_W(prices, HOURS)
    assert np.all(powers[:first] == 0)
    assert np.all(powers[first + stay :] == 0)
    assert np.all((powers >= 0) & (powers <= 11_000))
    room = 11_000 * HOURS * 0.92 * len(prices[first : first + stay])
    assert car.missing_Wh(list(powers), HOURS) == pytest.approx(max(0.0, demand - room), abs=1e-6)
    used = [prices[at] for at in range(24) if powers[at] > 1e-6]
    idle = [prices[at] for at in range(first, min(24, first + stay)) if powers[at] <= 1e-6]
    assert not used or not idle or max(used) <= min(idle)


def test_photovoltaics_at_standard_conditions_and_beyond() -> None:
    plant = Photovoltaics(peak_W=5_000, rating_VA=4_600)
    assert plant.power_W(0, 20) == 0
    assert plant.power_W(800, 20) == pytest.approx(5_000 * 0.8 * (1 - 0.004 * 20))
    assert plant.power_W(1_000, -20) == 4_600  # the inverter's limit
    assert plant.reactive_max_var(4_600) == 0
    assert plant.reactive_max_var(2_300) == pytest.approx(4_600 * 0.75**0.5)


def test_constant_power_zip_is_the_plain_flow_and_impedance_draws_less_when_low() -> None:
    case = sce56(900, 1100)
    flow = PowerFlow(grid_of(case.feeder))
    p, q = withdrawals(flow.grid, [site.baseline() for site in case.sites])
    plain = flow.solve(p, q)
    assert np.max(np.abs(solve_zip(flow, p, q, Zip(impedance=0, current=0, power=1)).v - plain.v)) < 1e-9
    soft = solve_zip(flow, p, q, Zip(impedance=1, current=0, power=0))
    assert soft.losses < plain.losses
    here = flow.grid.from_bus == flow.grid.root
    drawn = float(np.sum(soft.p_from[here]))
    assert drawn == pytest.approx(float(np.sum(p * soft.v**2)) + soft.losses, abs=1e-9)
    with pytest.raises(ModelError, match="add up to 1"):
        Zip(impedance=0.5, current=0.5, power=0.5)


def covariance(seed: int, n: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(n, n))
    return root @ root.T


@pytest.mark.parametrize("weight", [0.0, 0.3, -0.5])
def test_the_transform_is_exact_for_linear_models_and_for_means_of_quadratic_ones(weight: float) -> None:
    sigma, mean = covariance(1, 4), np.array([1.0, -2.0, 0.5, 3.0])
    inputs = Moments(mean=mean, covariance=sigma)
    matrix = np.random.default_rng(2).normal(size=(3, 4))
    linear = transform(lambda x: matrix @ x + 1, inputs, weight)
    assert np.allclose(linear.mean, matrix @ mean + 1)
    assert np.allclose(linear.covariance, matrix @ sigma @ matrix.T)
    square = transform(lambda x: np.array([x @ x]), inputs, weight)
    assert square.mean[0] == pytest.approx(mean @ mean + np.trace(sigma))


def test_the_points_carry_the_moments_and_a_certain_input_is_allowed() -> None:
    sigma = covariance(3, 3)
    sigma[:, 2] = sigma[2, :] = 0  # known for certain
    points, weights = sigma_points(Moments(mean=np.ones(3), covariance=sigma))
    assert weights.sum() == pytest.approx(1)
    assert np.allclose(weights @ points, 1)
    assert np.allclose((weights[:, None] * (points - 1)).T @ (points - 1), sigma)


def test_bounds_of_a_feeder_hold_most_draws() -> None:
    """Power and voltage bounds of the feeder under uncertain load: 2 sigma hold at least 90 % of random draws."""
    case = sce56(900, 1100)
    flow = PowerFlow(grid_of(case.feeder))
    p, q = withdrawals(flow.grid, [site.baseline(800) for site in case.sites])

    def model(x: np.ndarray) -> np.ndarray:
        found = flow.solve(p * x[0], q * x[1])
        return np.array([found.p_from[0], float(np.min(found.v))])

    inputs = Moments(mean=np.ones(2), covariance=np.array([[0.01, 0.006], [0.006, 0.01]]))
    low, high = transform(model, inputs).bounds(2.0)
    draws = np.random.default_rng(4).multivariate_normal(inputs.mean, inputs.covariance, 300)
    inside = [np.all((low <= y) & (y <= high)) for y in (model(x) for x in draws)]
    assert np.mean(inside) >= 0.9


def test_what_is_no_covariance_is_refused() -> None:
    with pytest.raises(ModelError, match="symmetric"):
        sigma_points(Moments(mean=np.zeros(2), covariance=np.array([[1.0, 0], [0, -1.0]])))
    with pytest.raises(ModelError, match="below 1"):
        sigma_points(Moments(mean=np.zeros(1), covariance=np.eye(1)), 1.0)
