"""C2: what it accepts an independent AC power flow finds free of violations, and it accepts nearly all that is."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from energy.grid.feasible import Bounds, Box, Reason, Refusal, check_feasible
from energy.grid.network import network_of
from energy.grid.schedule import BusEnergy, injection_of
from energy.grid.secure import Certificate, certify, secure
from physics.errors import PowerFlowError
from physics.feeders import Case, random_radial, sce56
from physics.powerflow import PowerFlow, grid_of, violations
from tests.grid.cases import SLACK, by_walk, random_energies, scaled, slack_of, solve, within

MARGIN = 2e-5  # p.u.: a schedule this far from every limit is accepted; docs/grid.md states it
CASES = {
    "sce56": sce56(),
    "sce56 wide": sce56(900, 1100),
    "tree of 5": random_radial(1, 5),
    "tree of 30": random_radial(2, 30),
    "tree of 120": random_radial(4, 120),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("load", [0.6, 1.2, 3.0])
def test_what_is_accepted_breaks_no_limit_and_what_has_room_is_accepted(name: str, load: float) -> None:
    case, random = CASES[name], Random(f"{name}/{load}")
    net, flow = network_of(case.feeder), PowerFlow(grid_of(case.feeder))
    accepted = 0
    for _ in range(60):
        energies = random_energies(case, random, load)
        verdict = certify(net, injection_of(net, energies))
        try:
            found = solve(flow, energies)
        except PowerFlowError:
            assert isinstance(verdict, Refusal)
            continue
        if isinstance(verdict, Certificate):
            accepted += 1
            assert violations(flow.grid, found, SLACK) == []
            assert_bounds_hold(case, verdict, by_walk(net, flow.grid, found))
        else:
            assert slack_of(flow.grid, found) < MARGIN, verdict
    assert accepted or load > 1


def assert_bounds_hold(case: Case, verdict: Certificate, rows: list[tuple[float, float, float, float]]) -> None:
    bounds, box = verdict.bounds, verdict.box
    for at, (v2, p, q, current) in enumerate(rows, 1):
        assert within(bounds.v_low[at], v2, bounds.v_high[at])
        assert within(bounds.p_low[at], p, bounds.p_high[at])
        assert within(bounds.q_low[at], q, bounds.q_high[at])
        assert within(box.low[at], current, box.high[at])


@pytest.mark.parametrize("name", CASES)
def test_near_the_limit_both_sides_agree(name: str) -> None:
    """Along random directions the first limit is met at a scale; just below the schedule is accepted, above refused."""
    case, random = CASES[name], Random(name)
    net, flow = network_of(case.feeder), PowerFlow(grid_of(case.feeder))
    tried = 0
    for _ in range(12):
        energies = random_energies(case, random, 1.0)
        edge = edge_of(flow, energies)
        if edge is None:
            continue
        inside, outside = scaled(energies, edge[0]), scaled(energies, edge[1])
        if slack_of(flow.grid, solve(flow, inside)) < MARGIN:
            continue
        tried += 1
        assert isinstance(certify(net, injection_of(net, inside)), Certificate)
        assert isinstance(certify(net, injection_of(net, outside)), Refusal)
    assert tried >= 3


def edge_of(flow: PowerFlow, energies: list[BusEnergy]) -> tuple[int, int] | None:
    """Two scales in millionths: the largest found with room of two margins, the smallest with a broken limit."""

    def slack(scale: int) -> float:
        try:
            return slack_of(flow.grid, solve(flow, scaled(energies, scale)))
        except PowerFlowError:
            return -1.0

    inside, outside = 0, 20_000_000
    if slack(inside) < 2 * MARGIN or slack(outside) > 0:
        return None
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if slack(middle) >= 2 * MARGIN else (inside, middle)
    while slack(outside) >= -SLACK:
        outside += max(1, outside // 100_000)
    return inside, outside


def a_certificate() -> tuple[Case, Certificate]:
    case = sce56()
    net = network_of(case.feeder)
    found = certify(net, injection_of(net, [site.baseline() for site in case.sites]))
    assert isinstance(found, Certificate)
    return case, found


@pytest.mark.parametrize("change", ["narrow", "shifted up", "shifted down", "of another schedule", "empty"])
def test_a_lying_box_is_refused(change: str) -> None:
    case, found = a_certificate()
    net, load = network_of(case.feeder), 1000
    box = found.box
    middle = [(low + high) // 2 for low, high in zip(box.low, box.high, strict=True)]
    if change == "narrow":
        box = Box(low=tuple(middle), high=tuple(middle))
    elif change == "shifted up":
        box = Box(low=box.high, high=tuple(2 * high for high in box.high))
    elif change == "shifted down":
        box = Box(low=tuple(low // 2 for low in box.low), high=box.low)
    elif change == "of another schedule":
        load = 900
    else:
        box = Box(low=box.high, high=box.low)
    injection = injection_of(net, [site.baseline(load) for site in case.sites])
    verdict = check_feasible(net, injection, box)
    assert isinstance(verdict, Refusal)
    assert verdict.reason == Reason.OPEN_BOX


def test_a_wider_box_that_maps_into_itself_is_as_good() -> None:
    case, found = a_certificate()
    net = network_of(case.feeder)
    wide = Box(
        low=tuple(low * 99 // 100 for low in found.box.low),
        high=tuple(high * 101 // 100 + 10 for high in found.box.high),
    )
    injection = injection_of(net, [site.baseline() for site in case.sites])
    assert isinstance(check_feasible(net, injection, wide), Bounds)


def test_refusals_name_the_element_and_the_reason() -> None:
    case = sce56()
    net = network_of(case.feeder)

    def refusal(*energies: BusEnergy) -> str:
        found = certify(net, injection_of(net, energies))
        assert isinstance(found, Refusal)
        return str(found)

    mwh = 250_000_000  # one MW over a slot, in mWh
    assert refusal(BusEnergy(bus=45, base_p_mWh=-6 * mwh)) == "vmax at bus 42"
    assert refusal(BusEnergy(bus=3, base_p_mWh=mwh)) == "flow at branch 2-3"
    assert refusal(BusEnergy(bus=52, base_p_mWh=100 * mwh)).startswith("collapse at bus")
    ends = [BusEnergy(bus=bus, base_p_mWh=mwh * 6 // 10) for bus in (9, 12, 14, 16, 37, 40, 46, 48)]
    assert refusal(*ends) == "vmin at bus 40"


@pytest.mark.parametrize("name", ["sce56", "tree of 30"])
def test_the_fallback_is_the_largest_factor_that_the_grid_bears(name: str) -> None:
    """Buyers beyond what the feeder bears: the factor is certified, two permille more breaks a limit."""
    case, random = CASES[name], Random(7)
    net, flow = network_of(case.feeder), PowerFlow(grid_of(case.feeder))
    cut = 0
    for _ in range(20):
        energies = [
            replace(site.baseline(500), trade_p_mWh=round(random.uniform(0, 6) * site.peak_W * 250), rounding_mWh=2)
            for site in case.sites
        ]
        secured = secure(net, energies)
        if secured.certificate is None or secured.refusal is None:
            continue
        cut += 1
        assert violations(flow.grid, solve(flow, energies, secured.factor_permille), SLACK) == []
        try:
            assert slack_of(flow.grid, solve(flow, energies, secured.factor_permille + 2)) < MARGIN
        except PowerFlowError:
            continue
    assert cut >= 5


def test_a_baseline_that_breaks_a_limit_gives_factor_0_without_a_certificate() -> None:
    case = sce56()
    net = network_of(case.feeder)
    found = secure(net, [BusEnergy(bus=3, base_p_mWh=10**9, trade_p_mWh=-(10**6))])
    assert (found.factor_permille, found.certificate) == (0, None)
    assert found.refusal is not None
