"""The day's congested slots with the utility cell's caps: adopted, worth 98 % of what any AC schedule could be."""

from __future__ import annotations

from functools import lru_cache

from cosmos_wire.protos import market as pb
from energy.grid.optimality import lower_bound, require_near_optimal
from energy.grid.welfare import auction_problem
from energy.market.clearing import Caps, Rules
from energy.market.defaults import LMP_TAU, LMP_TAU_PERMILLE
from physics.caps import Book, CapSearch, offers_of
from physics.feeders import feeder_case
from physics.opf import Opf
from physics.powerflow import PowerFlow, grid_of, violations, withdrawals
from utility_cell.agents.run import DEFAULT_DAY
from utility_cell.fleet import load_fleet
from utility_cell.profiles import first_quarter, load_profiles
from utility_cell.rehearsal import Outcome, Rehearsed, Stage

REPAIRED_MIN = 10
SEARCH = CapSearch()
SOLVERS = Opf(), Opf(gan=False)


def book_of(outcome: Outcome) -> Book:
    """What the utility cell reads of a slot."""
    band = outcome.book.band
    return Book(
        net=outcome.book.net,
        base=outcome.book.baselines,
        orders=tuple(entry.order for entry in outcome.book.entries),
        tangents={entry.order.cell: entry.tan_phi_permille for entry in outcome.book.entries},
        rules=Rules(mechanism=pb.MECHANISM_UNIFORM_K, k_num=1, k_den=2, floor_e4=band.floor_e4, cap_e4=band.cap_e4),
        loss_price_e4=band.cap_e4,
    )


def propose(outcome: Outcome) -> Caps | None:
    found = SEARCH.search(book_of(outcome))
    return None if found is None else found.caps


@lru_cache(maxsize=1)
def congested() -> list[Rehearsed]:
    stage = Stage(case=feeder_case("sce56"), fleet=load_fleet("sce56"), profiles=load_profiles(), propose=propose)
    return [slot for slot in stage.day(first_quarter(DEFAULT_DAY)) if slot.refused]


def gap_of(slot: Rehearsed) -> int:
    """Base units that any other AC schedule could save, a price for each bus allowed."""
    book = book_of(slot.outcome)
    pairs = zip(offers_of(book), slot.outcome.book.entries, strict=True)
    offers = [offer._replace(fill_mWh=slot.fill(entry)) for offer, entry in pairs]
    problem, fills = auction_problem(book.net, book.base, offers, book.loss_price_e4)
    duals = [solver.solve(problem).dual for solver in SOLVERS]
    best = max(duals, key=lambda dual: lower_bound(problem, dual))
    plain = require_near_optimal(problem, fills, duals[1], 10**30).size
    assert require_near_optimal(problem, fills, best, 10**30).size <= plain
    return plain


def test_every_refused_clearing_is_repaired_and_worth_98_percent_of_the_best_schedule() -> None:
    assert len(congested()) >= REPAIRED_MIN
    for slot in congested():
        assert slot.factor_permille == 1000, slot.quarter
        assert slot.welfare > slot.first.welfare * slot.secured.factor_permille // 1000
        assert gap_of(slot) <= slot.welfare // 50, slot.quarter


def test_most_of_them_get_certified_prices() -> None:
    """Within what the parameters of a testnet allow."""
    within = 0
    for slot in congested():
        clearing = slot.outcome.clearing
        within += gap_of(slot) <= LMP_TAU + clearing.volume_mWh * clearing.price_e4 * LMP_TAU_PERMILLE // 1000
    assert within >= len(congested()) * 9 // 10


def test_the_repaired_schedules_keep_every_limit() -> None:
    flow = PowerFlow(grid_of(feeder_case("sce56").feeder))
    for slot in congested():
        assert violations(flow.grid, flow.solve(*withdrawals(flow.grid, slot.energies))) == [], slot.quarter
