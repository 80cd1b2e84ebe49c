"""The cone programme: an AC solution, as cheap as an independent AC-OPF finds, with prices that are derivatives."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from energy.errors import NotCertified
from energy.grid.dispatch import ASK, BID, Block, Problem, energies_of
from energy.grid.fixed import ONE
from energy.grid.optimality import Dual, free_ranges, lower_bound, require_near_optimal, width_of
from energy.grid.schedule import BusEnergy, injection_of
from energy.units import MWH_PER_W
from physics.errors import DispatchError
from physics.feeders import Case, random_radial, sce56
from physics.markets import EXPORT_E4, IMPORT_E4
from physics.markets import random_market as market
from physics.opf import Opf
from physics.opf_rows import P_FREE, Q_FREE, V_FREE, L, P, Q, V, layout_of, matrix_of
from physics.powerflow import PowerFlow, grid_of, violations
from tests.grid.cases import by_walk, solve
from tests.grid.test_optimality import noise, tau_of
from tests.physics.ac_opf import cheapest

MW = 250_000_000  # mWh of one MW over a slot


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_optimum_is_an_ac_solution(seed: int) -> None:
    case = sce56()
    problem = market(case, seed, local=seed == 1)
    found = Opf().solve(problem)
    assert found.exact
    flow = PowerFlow(grid_of(case.feeder))
    rows = by_walk(problem.net, flow.grid, solve(flow, energies_of(problem, found.fills)))
    ours = np.column_stack([found.v, found.p, found.q, found.current])
    assert np.max(np.abs(ours - np.array(rows))) < 1e-5


@pytest.mark.parametrize(
    ("limits", "supply", "load", "least"),
    [((950, 1050), 6, 300, 0.9999), ((970, 1050), 1, 1300, 0.9999), ((950, 1030), 6, 300, 0.98)],
    ids=["loose", "low voltage", "high voltage: Gan's constraint costs something"],
)
def test_welfare_is_that_of_an_independent_ac_opf(
    limits: tuple[int, int], supply: int, load: int, least: float
) -> None:
    """pandapower's interior point on the full equations; ratings lifted, for it limits currents and we limit power."""
    case = sce56(*limits)
    for branch in case.feeder.branches:
        branch.s_max_W *= 10
    problem = active_only(market(case, 5, local=False, load_permille=load, supply=supply))
    flow = PowerFlow(grid_of(case.feeder))
    found, without = Opf().solve(problem), solve(flow, problem.base).p_from[0] * IMPORT_E4 * MW
    assert found.exact
    assert violations(flow.grid, solve(flow, energies_of(problem, found.fills))) == []
    share = (without - found.cost) / (without - cheapest(problem, case.feeder))
    assert least <= share <= 1.001


def active_only(problem: Problem) -> Problem:
    return replace(problem, blocks=tuple(replace(block, reactive_permille=0) for block in problem.blocks))


def test_without_gans_constraint_reverse_flow_makes_the_relaxation_inexact() -> None:
    """Export at a tight upper limit: the plain programme invents currents, OPF-m does not, C3 refuses the plain one."""
    case = sce56(950, 1030)
    for branch in case.feeder.branches:
        branch.s_max_W *= 10
    problem = active_only(market(case, 5, local=False, load_permille=300, supply=6))
    plain, sound = Opf(gan=False).solve(problem), Opf().solve(problem)
    assert sound.exact
    assert plain.cone_gap > 0.1
    with pytest.raises(NotCertified, match="vmax at bus"):
        require_near_optimal(problem, plain.fills, plain.dual, 10**15)
    require_near_optimal(problem, sound.fills, sound.dual, tau_of(problem, sound, 300))


def test_a_baseline_above_the_limit_is_infeasible_where_the_plain_programme_burns_it() -> None:
    problem = replace(market(sce56(950, 1010), 0), base=(BusEnergy(bus=45, base_p_mWh=-3 * MW),), local=False)
    nothing = replace(problem, blocks=(Block(bus=45, direction=BID, price_e4=0, quantity_mWh=1),), export_e4=0)
    assert Opf(gan=False).solve(nothing).cone_gap > 1
    with pytest.raises(DispatchError, match="expected Solved"):
        Opf().solve(nothing)


@pytest.mark.parametrize("local", [True, False])
def test_prices_are_the_change_of_the_cost(local: bool) -> None:
    """Another 10 kW of baseline at a bus cost what the dual says, losses and limits included."""
    problem = market(sce56(975, 1010), 2, local=local, supply=6)
    opf, step = Opf(), MW // 100
    found = opf.solve(problem)
    places = list(problem.net.bus)
    for bus in (2, 19, 37, 45, 53):
        more, less = (
            replace(problem, base=(*problem.base, BusEnergy(bus=bus, base_p_mWh=sign * step))) for sign in (1, -1)
        )
        up, down = opf.solve(more).cost - found.cost, found.cost - opf.solve(less).cost
        price = found.prices_e4[places.index(bus)] - (found.dual.local / ONE if local else 0)
        low, high = min(up, down) / step, max(up, down) / step
        assert low - 50 <= price <= high + 50  # between the two one-sided changes, to 0.005 token per kWh


def test_the_feed_in_tariff_is_a_floor_and_the_import_price_a_cap_where_nothing_binds() -> None:
    surplus = market(sce56(900, 1100), 3, local=False, load_permille=100, supply=3)
    cheap = tuple(replace(block, price_e4=1_000) if block.direction == ASK else block for block in surplus.blocks)
    plenty = Opf().solve(replace(surplus, blocks=cheap))
    scarce = Opf().solve(market(sce56(900, 1100), 3, local=False, load_permille=900, supply=0))
    assert abs(plenty.prices_e4[0] - EXPORT_E4) < 1
    assert plenty.drawn < 0
    assert abs(scarce.prices_e4[0] - IMPORT_E4) < 1
    assert scarce.drawn > 0


def test_an_update_gives_what_a_new_solver_gives() -> None:
    opf, case = Opf(), sce56()
    problems = [market(case, 4, load_permille=load) for load in (200, 500, 800)]
    again = [opf.solve(problem) for problem in problems]
    for problem, found in zip(problems, again, strict=True):
        fresh = Opf().solve(problem)
        assert abs(found.cost - fresh.cost) <= 1e-6 * abs(fresh.cost)
        assert np.max(np.abs(found.prices_e4 - fresh.prices_e4)) < 5


def test_a_baseline_that_no_schedule_can_serve_is_said_to_be_infeasible() -> None:
    problem = replace(market(sce56(), 0), base=(BusEnergy(bus=52, base_p_mWh=30 * MW),))
    with pytest.raises(DispatchError, match="expected Solved"):
        Opf().solve(problem)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("case", [random_radial(7, 6), sce56()], ids=["tree of 6", "sce56"])
def test_the_bound_is_the_dual_function_of_the_solvers_matrix(case: Case, local: bool) -> None:
    """For random duals: -b'z + sum min(rho lo, rho hi) with rho = c + A'z of the matrix that the solver gets."""
    problem = market(case, 3, local=local, load_permille=300)
    random = Random(9)
    for _ in range(10):
        dual = noise(problem.net.size, random)
        expected, exact = dual_function(problem, dual), lower_bound(problem, dual)
        assert abs(exact - expected) <= 1e-9 * abs(expected)


def dual_function(problem: Problem, dual: Dual) -> float:
    net = problem.net
    shapes = [(net.index[b.bus], b.direction, b.reactive_permille) for b in problem.blocks]
    layout = layout_of(net, shapes, problem.local, gan=True)
    local = [dual.local] if problem.local else []
    flat = [*dual.p, *dual.q[1:], *dual.v[1:], *dual.p_free[1:], *dual.q_free[1:], *dual.v_free[1:], *local]
    flat += [0] * layout.bounds
    flat += [value for rows in (dual.current, dual.near, dual.far) for row in rows[1:] for value in row]
    z = np.array(flat, dtype=float) / ONE
    costs = np.zeros(layout.columns)
    costs[: layout.drawn] = [-block.direction * block.price_e4 for block in problem.blocks]
    costs[layout.drawn : layout.drawn + 2] = problem.import_e4, -problem.export_e4
    rho = costs + matrix_of(layout).T @ z
    low, high = ranges(problem, layout)
    right = right_side(problem, layout)
    total = -right @ z + np.sum(np.minimum(rho * low, rho * high))
    return float(total) * MWH_PER_W * net.s_base_W


def right_side(problem, layout):
    net, base = problem.net, injection_of(problem.net, problem.base)
    p, q = np.array(base.p_low) / ONE, np.array(base.q_low) / ONE
    start = np.array([net.v0[0] / ONE if parent == 0 else 0.0 for parent in net.parent[1:]])
    ratings = np.zeros((layout.m, 3))
    ratings[:, 0] = [math.sqrt(s2) / ONE for s2 in net.s2_max[1:]]
    rest = np.zeros(int(problem.local) + layout.bounds + 4 * layout.m)
    return np.concatenate([p, q[1:], start, p[1:], q[1:], start, rest, ratings.ravel(), ratings.ravel()])


def ranges(problem, layout):
    net = problem.net
    low, high = np.zeros(layout.columns), np.zeros(layout.columns)
    base = injection_of(net, problem.base)
    for at, block in enumerate(problem.blocks):
        high[at] = width_of(net, block.quantity_mWh) / ONE
    carried = sum(math.sqrt(net.s2_max[at]) / ONE for at in range(1, net.size) if net.parent[at] == 0)
    at_root = [block for block in problem.blocks if net.index[block.bus] == 0]
    high[layout.drawn] = carried + base.p_high[0] / ONE
    high[layout.drawn + 1] = carried - base.p_low[0] / ONE
    for block in at_root:
        high[layout.drawn + (block.direction < 0)] += block.quantity_mWh / MWH_PER_W / net.s_base_W
    free = np.array(free_ranges(problem, base)) / ONE
    for at in range(1, net.size):
        rating = math.sqrt(net.s2_max[at]) / ONE
        for kind in (P, Q):
            low[layout.column(kind, at)], high[layout.column(kind, at)] = -rating, rating
        high[layout.column(L, at)] = rating**2 / (net.v_min / ONE)
        for kind in (V, V_FREE):
            low[layout.column(kind, at)], high[layout.column(kind, at)] = net.v_min / ONE, net.v_max / ONE
        low[layout.column(P_FREE, at)], high[layout.column(P_FREE, at)] = free[at][:2]
        low[layout.column(Q_FREE, at)], high[layout.column(Q_FREE, at)] = free[at][2:]
    return low, high
