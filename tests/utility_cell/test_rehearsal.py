"""A rehearsed day on each feeder: clearings that break limits, schedules that don't, level 3 in both directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from cosmos_wire.protos import registry as pb
from energy.grid.dispatch import Problem
from energy.grid.welfare import auction_problem
from physics.caps import CapSearch, offers_of, worth_of
from physics.feeders import feeder_case
from physics.opf import Opf
from physics.powerflow import PowerFlow, grid_of, violations, withdrawals
from tests.grid import by_pandapower
from tests.physics.ac_auction import fills_of
from utility_cell import make_fleets
from utility_cell.agents.run import DEFAULT_DAY
from utility_cell.bidding import Kind
from utility_cell.fleet import load_fleet
from utility_cell.forecast import Forecaster
from utility_cell.profiles import QUARTERS_PER_DAY, first_quarter, load_profiles
from utility_cell.rehearsal import CapsProposer, Rehearsed, Stage, caps_book, caps_of
from utility_cell.world import forecast_mWh

FEEDERS = ("sce56", "bw33")
START = first_quarter(DEFAULT_DAY)
ORACLE = 1e-9  # p.u. that power flows may differ
REPAIRED_MIN = 10


@lru_cache(maxsize=1)
def agents_forecast() -> Forecaster:
    """What agents of a testnet use."""
    return Forecaster(profiles=load_profiles())


@lru_cache(maxsize=4)
def day(name: str, lag: int = 1) -> list[Rehearsed]:
    return stage_of(name, lag).day(START)


def stage_of(name: str, lag: int, propose: CapsProposer | None = None) -> Stage:
    """Slots of 900 s with the seasonal naive forecast, or slots of 4 s in a window of 120 s with that of the agents."""
    return Stage(
        case=feeder_case(name),
        fleet=load_fleet(name),
        profiles=load_profiles(),
        lag=lag,
        forecast=forecast_mWh if lag == 1 else agents_forecast(),
        propose=propose,
    )


@pytest.mark.parametrize("name", FEEDERS)
def test_the_fleet_is_what_its_maker_writes(name: str) -> None:
    assert (make_fleets.FOLDER / f"{name}.toml").read_text(encoding="utf-8") == make_fleets.text_of(name)
    fleet, sites = load_fleet(name), feeder_case(name).sites
    assert {cell.bus for cell in fleet.cells if cell.loads} == {site.bus for site in sites if site.peak_W}
    kinds = [cell for cell in fleet.cells if cell.storage], [cell for cell in fleet.cells if cell.critical_permille]
    assert all(len(found) >= 2 for found in kinds)


@pytest.mark.parametrize("name", FEEDERS)
def test_pandapower_finds_no_violation_in_any_certified_schedule(name: str) -> None:
    case = feeder_case(name)
    panda = by_pandapower.network(case.feeder)
    for slot in day(name):
        by_pandapower.solve(panda, slot.energies)
        assert by_pandapower.violations(panda, case.feeder, ORACLE) == [], slot.quarter


@pytest.mark.parametrize("lag", [1, 8], ids=["slots of 900 s", "slots of 4 s in a window of 120 s"])
def test_the_unconstrained_clearing_breaks_limits_of_the_56_buses(lag: int) -> None:
    """By the independent flow, voltages and ratings both; without trade the feeder bears every slot."""
    case = feeder_case("sce56")
    panda = by_pandapower.network(case.feeder)
    broken = []
    for slot in day("sce56", lag):
        by_pandapower.solve(panda, slot.first.energies)
        found = by_pandapower.violations(panda, case.feeder, 0.0)
        assert bool(found) <= slot.refused, slot.quarter
        broken += [found] if found else []
    assert REPAIRED_MIN <= len(broken) <= QUARTERS_PER_DAY // 3
    assert {words.split()[0] for found in broken for words in found} == {"bus", "branch"}
    assert all(slot.secured.certificate is not None for slot in day("sce56", lag))


def ac_optimum(problem: Problem, feeder: pb.Feeder) -> float:
    """Welfare in base units by the independent interior point."""
    pairs = zip(problem.blocks, fills_of(problem, feeder), strict=True)
    return sum(block.direction * block.price_e4 * fill for block, fill in pairs)


def relaxed(problem: Problem, _feeder: pb.Feeder) -> float:
    """Welfare of the plain relaxation, which no AC schedule exceeds."""
    return worth_of(problem, Opf(gan=False).solve(problem))


@pytest.mark.parametrize(("lag", "best_of"), [(1, relaxed), (8, ac_optimum)], ids=["relaxation", "AC optimum"])
def test_with_caps_the_day_is_worth_nearly_what_the_feeder_bears(
    lag: int, best_of: Callable[[Problem, pb.Feeder], float]
) -> None:
    """98 % of what a price for every bus could be worth; what is certified breaks no limit."""
    case = feeder_case("sce56")
    stage = stage_of("sce56", lag, caps_of(CapSearch()))
    panda = by_pandapower.network(case.feeder)
    worth = most = 0.0
    for slot in stage.day(START):
        worth += slot.welfare
        most += best_of(problem_of(slot), case.feeder) if slot.refused else slot.welfare
        if slot.outcome is not slot.first:
            by_pandapower.solve(panda, slot.energies)
            assert by_pandapower.violations(panda, case.feeder, ORACLE) == [], slot.quarter
    assert worth >= 0.98 * most, worth / most


def problem_of(slot: Rehearsed) -> Problem:
    book = caps_book(slot.first)
    return auction_problem(book.net, book.base, offers_of(book), book.loss_price_e4)[0]


def test_our_own_flow_agrees_about_the_certified_day() -> None:
    flow = PowerFlow(grid_of(feeder_case("sce56").feeder))
    for slot in day("sce56"):
        assert violations(flow.grid, flow.solve(*withdrawals(flow.grid, slot.energies))) == []


def test_the_main_grid_buys_and_sells_after_the_neighbours() -> None:
    a, b = day("sce56"), day("bw33")
    rest = [x.residual_mWh + y.residual_mWh for x, y in zip(a, b, strict=True)]
    assert sum(each > 0 for each in rest) >= 10
    assert sum(each < 0 for each in rest) >= 10
    crossing = [x.residual_mWh * y.residual_mWh < 0 for x, y in zip(a, b, strict=True)]
    assert sum(crossing) >= 10  # level 2 has work too


@pytest.mark.parametrize("name", FEEDERS)
def test_energy_of_a_slot_is_accounted_for(name: str) -> None:
    for slot in day(name):
        entries = slot.outcome.book.entries
        bought, sold = (sum(slot.fill(e) for e in entries if e.is_bid == bid) for bid in (True, False))
        assert abs(bought - sold) <= len(entries)  # a factor rounds every order
        fed = sum(e.order.quantity_mWh for e in entries if not e.is_bid)
        assert fed == sold + slot.grid_export_mWh + slot.curtailed_mWh
        withdrawn = sum(energy.base_p_mWh for energy in slot.energies)
        baseline = sum(energy.base_p_mWh for energy in slot.outcome.book.baselines)
        assert withdrawn - baseline == slot.residual_mWh + bought - sold


def test_loads_that_wait_are_served_in_the_end_and_storages_keep_their_bounds() -> None:
    stage = stage_of("sce56", 8)
    slots = stage.day(START, QUARTERS_PER_DAY + 40)
    served = wanted = 0
    for devices in stage.devices:
        spec = devices.spec
        wanted += sum(devices._shiftable_mWh(START + n) for n in range(QUARTERS_PER_DAY)) if spec.shiftable else 0
        if spec.shiftable:
            served += sum(devices.late.values()) + sum(devices.steered.values())
        if spec.storage:
            low, high = (spec.storage.capacity_Wh * share for share in (spec.storage.soc_min, spec.storage.soc_max))
            assert low - 1 <= devices.tank.energy_Wh <= high + 1
            assert {int(np.sign(energy)) for energy in devices.steered.values()} == {-1, 0, 1}
    assert served >= wanted > 0
    assert any(e.order.kind == Kind.CRITICAL for e in slots[0].outcome.book.entries)
