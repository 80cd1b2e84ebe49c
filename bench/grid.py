"""`python -m bench.grid`: what the certificates and the solvers of the grid cost on one core, SCE 56-bus feeder.

Times are CPU milliseconds, best and median of many runs: certificates as a validator runs them in FinalizeBlock,
solvers as a utility cell does. The last lines say how often certificates and power flow agree.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from rich.console import Console
from rich.table import Table

from bench.measure import machine, percentile
from energy.grid.dispatch import Problem, energies_of
from energy.grid.feasible import check_feasible
from energy.grid.network import network_of
from energy.grid.optimality import lower_bound, require_near_optimal
from energy.grid.schedule import BusEnergy, injection_of
from energy.grid.secure import Certificate, certify, secure
from physics.errors import PowerFlowError
from physics.feeders import Case, random_radial, sce56
from physics.markets import random_market
from physics.opf import Opf
from physics.powerflow import PowerFlow, grid_of, violations, withdrawals

RUNS = 200
TAU = 10**15
AGREEMENT_CASES = 1_000
SLACK = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Milliseconds of one thing, and what is asked of it."""

    what: str
    best_ms: float
    median_ms: float
    required_ms: float | None = None


def timed(what: str, action: Callable[[], object], required_ms: float | None = None) -> Figure:
    """Run `action` many times."""
    times = []
    for _ in range(RUNS):
        start = time.thread_time()
        action()
        times.append((time.thread_time() - start) * 1e3)
    return Figure(what=what, best_ms=min(times), median_ms=percentile(times, 50), required_ms=required_ms)


def certified(problem: Problem, energies: list[BusEnergy]) -> Certificate:
    """The certificate of a schedule that is known to be sound."""
    found = certify(problem.net, injection_of(problem.net, energies))
    assert isinstance(found, Certificate), found
    return found


def figures(buses: str, case: Case) -> list[Figure]:
    """All times on one feeder."""
    problem, opf = random_market(case, 1, load_permille=300), Opf()
    found = opf.solve(problem)
    energies = energies_of(problem, found.fills)
    injection, net = injection_of(problem.net, energies), problem.net
    certificate, flow = certified(problem, energies), PowerFlow(grid_of(case.feeder))
    p, q = withdrawals(flow.grid, energies)
    heavy = [replace(site.baseline(300), trade_p_mWh=8 * site.peak_W * 250) for site in case.sites]
    return [
        timed(f"C2, a given box, {buses}", lambda: check_feasible(net, injection, certificate.box), 1.0),
        timed(f"own certificate: sweep, box, C2, {buses}", lambda: certify(net, injection)),
        timed(f"C3, the bound of a dual, {buses}", lambda: lower_bound(problem, found.dual), 1.0),
        timed(f"C2 and C3 of a message, {buses}", lambda: require_near_optimal(problem, found.fills, found.dual, TAU)),
        timed(f"largest certified factor, {buses}", lambda: secure(net, heavy)),
        timed(f"SOCP re-solve with its dual, {buses}", lambda: opf.solve(problem), 10.0),
        timed(f"AC power flow, {buses}", lambda: flow.solve(p, q)),
    ]


def agreement(case: Case, load: float) -> tuple[int, int, int, int]:
    """(cases, accepted, accepted with a violation, refused without one) against the float power flow."""
    random, net, flow = Random(1), network_of(case.feeder), PowerFlow(grid_of(case.feeder))  # noqa: S311 - a study
    accepted = wrong = missed = 0
    for _ in range(AGREEMENT_CASES):
        energies = [
            site.baseline(round(1000 * random.uniform(0, load)), round(1000 * random.uniform(0, min(1.0, load))))
            for site in case.sites
        ]
        verdict = isinstance(certify(net, injection_of(net, energies)), Certificate)
        try:
            broken = violations(flow.grid, flow.solve(*withdrawals(flow.grid, energies)), SLACK)
        except PowerFlowError as error:
            broken = [str(error)]
        accepted += verdict
        wrong += verdict and bool(broken)
        missed += not verdict and not broken
    return AGREEMENT_CASES, accepted, wrong, missed


def main() -> int:
    """Print the tables."""
    where, console = machine(), Console(width=120)
    title = f"{where['processor']}, {where['cores']} cores, commit {where['commit']}, load {where['load_average']}"
    table = Table("what", "required ms", "best ms", "median ms", title=title)
    for figure in figures("56 buses", sce56()) + figures("30 buses", random_radial(2, 30)):
        asked = "" if figure.required_ms is None else f"{figure.required_ms:g}"
        table.add_row(figure.what, asked, f"{figure.best_ms:.3f}", f"{figure.median_ms:.3f}")
    console.print(table)
    for load in (0.6, 1.2, 3.0):
        cases, accepted, wrong, missed = agreement(sce56(), load)
        console.print(
            f"load 0..{load} x peak: {cases} schedules, {accepted} certified, {wrong} of them with a violation, "
            f"{missed} refused without one"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
