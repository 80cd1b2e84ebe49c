"""Dispatch that survives listed losses, held against an AC power flow of the feeder after each loss."""

from __future__ import annotations

import pytest

from cosmos_wire.protos import registry as pb
from energy.errors import FeederMalformed
from energy.grid.contingency import Insecure, certify_all, lit, networks_of, without
from energy.grid.dispatch import Problem, energies_of
from energy.grid.network import network_of
from energy.grid.schedule import BusEnergy
from physics.feeders import Case, sce56
from physics.markets import random_market
from physics.opf import Dispatch, Opf
from physics.powerflow import PowerFlow, grid_of, violations
from physics.scopf import solve_secure
from tests.grid.cases import SLACK, solve

TRUNK_W = 2_200_000


def index_of(feeder: pb.Feeder, to_bus: int) -> int:
    return next(at for at, branch in enumerate(feeder.branches) if branch.to_bus == to_bus)


@pytest.fixture(scope="module")
def situation() -> tuple[Case, Problem, Dispatch, Dispatch]:
    """A trunk that cannot carry the evening without the plants at 45 and 53; dispatched plainly and securely."""
    case = sce56()
    case.feeder.branches[0].s_max_W = TRUNK_W
    case.feeder.contingencies[:] = [index_of(case.feeder, bus) for bus in (45, 53, 20)]
    problem = random_market(case, 2, local=True, load_permille=500, supply=6)
    left = [net for _, net in networks_of(case.feeder)[1:]]
    return case, problem, Opf().solve(problem), solve_secure(problem, left)


def test_the_plain_optimum_does_not_survive_and_the_secure_one_does(situation) -> None:
    case, problem, plain, secure = situation
    networks = networks_of(case.feeder)
    found = certify_all(networks, energies_of(problem, plain.fills))
    assert isinstance(found, Insecure)
    assert str(found) == f"flow at branch 1-2 after the loss of branch {found.branch}"
    kept = certify_all(networks, energies_of(problem, secure.fills))
    assert isinstance(kept, list)
    assert len(kept) == 4


def test_an_ac_power_flow_agrees_after_each_loss(situation) -> None:
    case, problem, plain, secure = situation
    broken = 0
    for branch in case.feeder.contingencies:
        feeder = without(case.feeder, branch)
        flow, net = PowerFlow(grid_of(feeder)), network_of(feeder)
        after = solve(flow, lit(net, energies_of(problem, secure.fills)))
        assert violations(flow.grid, after, SLACK) == []
        broken += bool(violations(flow.grid, solve(flow, lit(net, energies_of(problem, plain.fills))), SLACK))
    assert broken


def test_security_costs_welfare_and_shows_in_prices(situation) -> None:
    _, problem, plain, secure = situation
    assert secure.cost > plain.cost * 1.001
    assert secure.exact
    traded = sum(fill for block, fill in zip(problem.blocks, secure.fills, strict=True) if block.direction > 0)
    assert traded > 0
    worth = [
        (problem.net.index[block.bus], block.price_e4, fill / block.quantity_mWh)
        for block, fill in zip(problem.blocks, secure.fills, strict=True)
        if block.direction > 0
    ]
    for at, price_e4, share in worth:
        if abs(price_e4 - secure.prices_e4[at] - 0.3 * reactive_price(secure, at)) > 200:
            assert (share > 0.5) == (price_e4 > secure.prices_e4[at])


def reactive_price(found: Dispatch, at: int) -> float:
    return -(found.dual.q[at] + found.dual.q_free[at]) / 2**30


def test_without_contingencies_it_is_the_plain_programme(situation) -> None:
    _, problem, plain, _ = situation
    same = solve_secure(problem, [])
    assert abs(same.cost - plain.cost) < 1e-6 * abs(plain.cost)


def test_what_is_left_of_a_feeder() -> None:
    feeder = pb.Feeder(
        s_base_W=1,
        v0_permille=1000,
        branches=[pb.Branch(from_bus=a, to_bus=b, s_max_W=1) for a, b in ((0, 1), (2, 1), (2, 3), (0, 4))],
    )
    assert [(b.from_bus, b.to_bus) for b in without(feeder, 1).branches] == [(0, 1), (0, 4)]
    assert [(b.from_bus, b.to_bus) for b in without(feeder, 0).branches] == [(0, 4)]
    assert network_of(without(without(feeder, 0), 0)).size == 1
    assert lit(network_of(without(feeder, 1)), [BusEnergy(bus=3), BusEnergy(bus=4)]) == [BusEnergy(bus=4)]
    with pytest.raises(FeederMalformed, match=r"index 0\.\.3, got 4"):
        without(feeder, 4)
