"""C3: the bound holds for any dual and any schedule, is tight at the optimum, and what lies is refused."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from energy.errors import NotCertified
from energy.grid.dispatch import Problem, check_fills, cost_of, energies_of
from energy.grid.feasible import Box
from energy.grid.optimality import Dual, caps_e4, lower_bound, prices_e4, require_near_optimal
from energy.grid.schedule import injection_of
from energy.grid.secure import Certificate, certify
from physics.feeders import random_radial, sce56
from physics.markets import inverters
from physics.markets import random_market as market
from physics.opf import Dispatch, Opf

TAU_PER_MILLION = 20  # of the turnover and of one p.u. imported: the solver's error, the margin, the width of the box
TAU_TIGHT = 300  # where many voltages lie at their limits, each moved by the margin
CASES = {"sce56": sce56(), "tree of 5": random_radial(1, 5), "tree of 30": random_radial(2, 30)}


def certified(problem: Problem, fills: tuple[int, ...]) -> Certificate:
    found = certify(problem.net, injection_of(problem.net, energies_of(problem, fills)))
    assert isinstance(found, Certificate), found
    return found


def tau_of(problem: Problem, dispatch: Dispatch, per_million: int = TAU_PER_MILLION) -> int:
    turnover = sum(block.price_e4 * fill for block, fill in zip(problem.blocks, dispatch.fills, strict=True))
    imported = problem.import_e4 * 250 * problem.net.s_base_W
    return (turnover + imported) * per_million // 10**6


@pytest.fixture(scope="module")
def solved() -> tuple[Problem, Dispatch]:
    problem = market(sce56(), 1)
    return problem, Opf().solve(problem)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("local", [True, False])
def test_an_optimum_is_certified_within_a_small_gap(name: str, local: bool) -> None:
    for seed in range(3):
        problem = market(CASES[name], seed, local=local, load_permille=200)
        found = Opf().solve(problem)
        gap = require_near_optimal(problem, found.fills, found.dual, tau_of(problem, found))
        assert gap.size >= 0


def test_reactive_power_of_inverters_is_dispatched_too() -> None:
    problem = market(sce56(975, 1010), 2, local=False, supply=6)
    with_inverters = replace(problem, blocks=problem.blocks + inverters(45, 1_000_000))
    plain, better = Opf().solve(problem), Opf().solve(with_inverters)
    assert better.cost < plain.cost - tau_of(problem, plain)
    assert any(better.fills[-2:])
    gap = require_near_optimal(with_inverters, better.fills, better.dual, tau_of(with_inverters, better, TAU_TIGHT))
    assert gap.upper < cost_of(problem, plain.fills, certified(problem, plain.fills).bounds.p_high[0])


def test_the_bound_lies_below_every_certified_schedule_for_any_dual() -> None:
    """Weak duality on random schedules and duals; a wrong sign anywhere in the bound shows here."""
    random = Random(5)
    for seed, case in enumerate((random_radial(1, 5), sce56(), random_radial(2, 30))):
        problem = market(case, seed, local=seed == 1, load_permille=200, supply=1)
        found = Opf().solve(problem)
        costs = [cost_of(problem, found.fills, certified(problem, found.fills).bounds.p_high[0])]
        for fills in [shares(problem, found.fills, random) for _ in range(20)]:
            verdict = certify(problem.net, injection_of(problem.net, energies_of(problem, fills)))
            costs += [cost_of(problem, fills, verdict.bounds.p_high[0])] if isinstance(verdict, Certificate) else []
        assert len(costs) > 5
        for _ in range(40):
            assert lower_bound(problem, shaken(found.dual, random)) <= min(costs)
        for _ in range(40):
            assert lower_bound(problem, noise(problem.net.size, random)) <= min(costs)


def shares(problem: Problem, fills: tuple[int, ...], random: Random) -> tuple[int, ...]:
    """Another schedule: a share of all fills, or of each when nothing has to balance."""
    if problem.local:
        share = random.randrange(0, 1000)
        cut = [fill * share // 1000 for fill in fills]
        return balanced(problem, cut)
    return tuple(fill * random.randrange(0, 1000) // 1000 for fill in fills)


def balanced(problem: Problem, fills: list[int]) -> tuple[int, ...]:
    rest = sum(block.direction * fill for block, fill in zip(problem.blocks, fills, strict=True))
    for at, block in enumerate(problem.blocks):
        if block.direction * rest > 0:
            cut = min(fills[at], abs(rest))
            fills[at] -= cut
            rest -= block.direction * cut
    return tuple(fills)


def shaken(dual: Dual, random: Random) -> Dual:
    """A dual with one of its rows changed, still in its cones."""
    name = random.choice(["p", "q", "v", "p_free", "q_free", "v_free", "local", "current", "near", "far"])
    if name == "local":
        return replace(dual, local=dual.local + random.randrange(-(2**40), 2**40))
    rows = list(getattr(dual, name))
    at = random.randrange(0 if name == "p" else 1, len(rows))
    if name in ("current", "near", "far"):
        rest = [value + random.randrange(-(2**40), 2**40) for value in rows[at][1:]]
        rows[at] = (sum(abs(value) for value in rest) + random.randrange(2**20), *rest)
    else:
        rows[at] += random.randrange(-(2**44), 2**44)
    return replace(dual, **{name: tuple(rows)})


def noise(size: int, random: Random) -> Dual:
    def row() -> tuple[int, ...]:
        return (0, *(random.randrange(-(2**46), 2**46) for _ in range(size - 1)))

    def cones(width: int) -> tuple[tuple[int, ...], ...]:
        rests = [[random.randrange(-(2**40), 2**40) for _ in range(width - 1)] for _ in range(size)]
        return tuple((sum(abs(value) for value in rest), *rest) for rest in rests)

    return Dual(
        p=(random.randrange(-(2**46), 2**46), *row()[1:]),
        q=row(),
        v=row(),
        p_free=row(),
        q_free=row(),
        v_free=row(),
        local=random.randrange(-(2**46), 2**46),
        current=cones(4),
        near=cones(3),
        far=cones(3),
    )


def test_a_schedule_that_wastes_welfare_is_refused(solved: tuple[Problem, Dispatch]) -> None:
    problem, found = solved
    half = balanced(problem, [fill // 2 for fill in found.fills])
    require_near_optimal(problem, found.fills, found.dual, tau_of(problem, found))
    with pytest.raises(NotCertified, match=r"a gap of at most \d+ is expected, got \d+"):
        require_near_optimal(problem, half, found.dual, tau_of(problem, found))


@pytest.mark.parametrize("name", ["p", "v_free", "q", "local"])
def test_a_dual_with_other_prices_is_refused(name: str, solved: tuple[Problem, Dispatch]) -> None:
    problem, found = solved
    step = 5_000 << 30  # half a token per kWh
    row = getattr(found.dual, name)
    lie = row + step if name == "local" else tuple(value + step for value in row)
    with pytest.raises(NotCertified, match="a gap of at most"):
        require_near_optimal(problem, found.fills, replace(found.dual, **{name: lie}), tau_of(problem, found))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: replace(d, current=(d.current[0], (-1, 0, 0, 0), *d.current[2:])), "current at branch 1-2"),
        (lambda d: replace(d, near=(*d.near[:-1], (4, 3, 3))), "near at branch 53-56"),
        (lambda d: replace(d, near=(*d.near[:-1], ())), "near at branch 53-56"),
        (lambda d: replace(d, far=(*d.far[:-1], (2**62, 0, 0))), "far at branch 53-56"),
        (lambda d: replace(d, p=d.p[1:]), "dual p: 56 rows"),
        (lambda d: replace(d, local=2**62), "below 2"),
        (lambda d: replace(d, q=(*d.q[:-1], -(2**62))), "below 2"),
    ],
)
def test_a_dual_outside_its_cone_or_out_of_range_is_refused(change, what, solved: tuple[Problem, Dispatch]) -> None:
    problem, found = solved
    with pytest.raises(NotCertified, match=what):
        lower_bound(problem, change(found.dual))


def test_a_lying_box_is_refused_and_a_good_one_taken(solved: tuple[Problem, Dispatch]) -> None:
    problem, found = solved
    box = certified(problem, found.fills).box
    require_near_optimal(problem, found.fills, found.dual, tau_of(problem, found), box)
    with pytest.raises(NotCertified, match="open_box at"):
        require_near_optimal(problem, found.fills, found.dual, tau_of(problem, found), Box(low=box.low, high=box.low))
    with pytest.raises(NotCertified, match="a box of 56 branches"):
        require_near_optimal(problem, found.fills, found.dual, tau_of(problem, found), Box(low=(), high=()))


def test_fills_outside_their_blocks_or_out_of_balance_are_refused(solved: tuple[Problem, Dispatch]) -> None:
    problem, found = solved
    fills = found.fills
    at = next(at for at, fill in enumerate(fills) if fill)
    for wrong, what in (
        ((-1, *fills[1:]), "fill 0 has to be 0"),
        ((problem.blocks[0].quantity_mWh + 1, *fills[1:]), "fill 0 has to be 0"),
        (fills[1:], "fills are expected"),
        ((*fills[:at], fills[at] - 1, *fills[at + 1 :]), "have to balance"),
    ):
        with pytest.raises(NotCertified, match=what):
            check_fills(problem, wrong)


def test_an_export_price_above_the_import_price_is_refused(solved: tuple[Problem, Dispatch]) -> None:
    with pytest.raises(NotCertified, match="export price <= import price"):
        replace(solved[0], export_e4=70_001)


def test_caps_are_the_marginal_prices_inside_the_band(solved: tuple[Problem, Dispatch]) -> None:
    problem, found = solved
    prices = prices_e4(problem, found.dual)
    low, high = sorted(prices)[5], sorted(prices)[-5]
    caps = caps_e4(problem, found.dual, (low, high))
    assert (min(caps), max(caps)) == (low, high)
    assert [cap for cap, price in zip(caps, prices, strict=True) if low <= price <= high] == [
        price for price in prices if low <= price <= high
    ]


def test_posted_prices_are_the_solvers(solved: tuple[Problem, Dispatch]) -> None:
    problem, found = solved
    posted = prices_e4(problem, found.dual)
    assert max(abs(a - b) for a, b in zip(posted, found.prices_e4, strict=True)) <= 1
