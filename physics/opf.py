"""Optimal power flow of a radial feeder as a second-order cone programme with Gan's constraint (OPF-m), on clarabel.

The same problem as `energy.grid.optimality` bounds, row for row, so that its dual is a certificate once it is rounded.
Variables in p.u.: the fills, what is drawn and fed back at the root, then by branch P, Q, l, v and P, Q, v without
losses. Limits may be tightened by a margin, so that rounded fills still pass C2; the dual stays valid for the limits
proper. A solver that saw a layout before keeps its factorisation and only gets new vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import clarabel
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from energy.grid.dispatch import Problem
from energy.grid.fixed import ONE
from energy.grid.optimality import Dual
from energy.grid.schedule import injection_of
from energy.units import MWH_PER_W
from physics.errors import DispatchError
from physics.opf_rows import L, Layout, P, Q, V, layout_of, matrix_of

Floats = NDArray[np.float64]
MARGIN = 1e-5  # p.u., by which limits are tightened: C2 bounds a flow to about 1e-6
EXACT = 1e-6  # largest v l - (P^2 + Q^2) that counts as an AC solution
LOSS_E4 = 10  # the least price of a loss: where losses are free the relaxation has optima that are no AC solutions
DUAL_MAX = 2.0**61  # numbers that a check takes are below 2^62
TOLERANCE = 1e-9
SOLVED = (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """An optimum: fills in mWh, flows by branch in the network's order (p.u.), marginal prices by bus, the dual."""

    fills: tuple[int, ...]
    cost: float  # base units
    p: Floats
    q: Floats
    current: Floats
    v: Floats
    drawn: float  # at the root, p.u., negative when fed back
    cone_gap: float  # largest v l - (P^2 + Q^2), 0 when the relaxation is exact
    prices_e4: Floats
    dual: Dual
    iterations: int

    @property
    def exact(self) -> bool:
        """Whether the relaxed optimum is an AC solution."""
        return self.cone_gap <= EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a solver found for a layout's columns and rows; the dual in price_e4."""

    x: Floats
    z: Floats
    iterations: int


class Opf:
    """Solves problems; those of the same feeder and blocks in a row are updates of one solver."""

    def __init__(self, margin: float = MARGIN, gan: bool = True, current_e4: int = 0) -> None:  # noqa: FBT001, FBT002
        """`gan` False leaves Gan's constraint out. `current_e4` prices squared currents times impedance.

        Where a rating binds, the relaxation may invent currents that take up reactive power at next to no loss; a price
        on them stops that. The dual is none of the unpriced problem then.
        """
        self._margin, self._gan, self._current_e4 = margin, gan, current_e4
        self._layout: Layout | None = None
        self._solver: clarabel.DefaultSolver | None = None

    def solve(self, problem: Problem) -> Dispatch:
        """The best schedule of a slot; raises DispatchError when there is none or the solver gives up."""
        net = problem.net
        shapes = [(net.index[b.bus], b.direction, b.reactive_permille) for b in problem.blocks]
        layout = layout_of(net, shapes, problem.local, self._gan)
        scale = float(max(1, problem.import_e4, *(block.price_e4 for block in problem.blocks)))
        right, costs = right_side(layout, problem, self._margin), costs_of(problem, layout)
        first = layout.column(L, 1)
        costs[first : first + layout.m] += self._current_e4 * np.sqrt(np.array(net.z2[1:], dtype=float)) / ONE
        costs /= scale
        if self._solver is None or layout != self._layout:
            self._layout, self._solver = layout, _solver(layout, costs, right)
        else:
            self._solver.update(q=costs, b=right)
        found = self._solver.solve()
        if found.status not in SOLVED:
            raise DispatchError(f"the optimal power flow ends as {found.status}, expected Solved")
        x, z = np.array(found.x), np.array(found.z) * scale
        return dispatch_of(problem, layout, Solution(x=x, z=z, iterations=found.iterations))


def right_side(layout: Layout, problem: Problem, margin: float) -> Floats:
    """B of  A x + s = b, limits tightened by a margin."""
    net = problem.net
    base = injection_of(net, problem.base)
    p, q = np.array(base.p_low) / ONE, np.array(base.q_low) / ONE
    start = np.where(np.array(net.parent[1:]) == 0, net.v0[0] / ONE, 0.0)
    widths = np.array([block.quantity_mWh for block in problem.blocks]) / (MWH_PER_W * net.s_base_W)
    ratings = np.zeros((layout.m, 3))
    ratings[:, 0] = np.sqrt(np.array(net.s2_max[1:], dtype=float)) / ONE - margin
    ones = np.ones(layout.m)
    parts = [p, q[1:], start, p[1:], q[1:], start, np.zeros(int(problem.local)), np.zeros(len(widths) + 2), widths]
    parts += [-ones * (net.v_min / ONE + margin), ones * (net.v_max / ONE - margin), np.zeros(4 * layout.m)]
    return np.concatenate([*parts, ratings.ravel(), ratings.ravel()])


def costs_of(problem: Problem, layout: Layout) -> Floats:
    """C of the programme, in price_e4 by p.u."""
    costs = np.zeros(layout.columns)
    costs[: layout.drawn] = [-block.direction * block.price_e4 for block in problem.blocks]
    costs[layout.drawn] = max(problem.import_e4, LOSS_E4)
    costs[layout.drawn + 1] = -max(problem.export_e4, LOSS_E4)
    return costs


def _solver(layout: Layout, costs: Floats, right: Floats) -> clarabel.DefaultSolver:
    empty = sparse.csc_matrix((layout.columns, layout.columns))
    return clarabel.DefaultSolver(empty, costs, matrix_of(layout), right, layout.cones(), solver_settings())


def solver_settings() -> clarabel.DefaultSettings:
    """Quiet, on one core, as exact as a certificate needs it, ready for updates."""
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.presolve_enable = False  # or updates are refused
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
    return settings


def dispatch_of(problem: Problem, layout: Layout, found: Solution) -> Dispatch:
    """Read a solution of the programme."""
    x, z = found.x, found.z
    p, q, current, v = (x[layout.column(kind, 1) :][: layout.m] for kind in (P, Q, L, V))
    dual = dual_of(layout, z)
    shift = dual.local / ONE if problem.local else 0.0
    free = np.concatenate([[0], np.array(dual.p_free[1:], dtype=float)])
    unit = MWH_PER_W * problem.net.s_base_W
    return Dispatch(
        fills=round_fills(problem, x[: layout.drawn] * unit),
        cost=float(costs_of(problem, layout) @ x) * unit,
        p=p,
        q=q,
        current=current,
        v=v,
        drawn=float(x[layout.drawn] - x[layout.drawn + 1]),
        cone_gap=float(np.max(v * current - p**2 - q**2)),
        prices_e4=shift - (np.array(dual.p, dtype=float) + free) / ONE,
        dual=dual,
        iterations=found.iterations,
    )


def dual_of(layout: Layout, z: Floats) -> Dual:
    """Round a solver's dual (unit: price_e4) into integers that lie in their cones for certain."""
    m, ends = layout.m, layout.equalities + layout.bounds
    rounded = np.rint(np.clip(z * ONE, -DUAL_MAX, DUAL_MAX)).astype(np.int64).tolist()
    groups = [(0, *rounded[layout.row(kind, 1) : layout.row(kind, m) + 1]) for kind in range(6)]
    return Dual(
        p=(rounded[0], *groups[0][1:]),
        q=groups[1],
        v=groups[2],
        p_free=groups[3],
        q_free=groups[4],
        v_free=groups[5],
        local=rounded[layout.equalities - 1] if layout.local else 0,
        current=_into_cones(rounded[ends : ends + 4 * m], 4),
        near=_into_cones(rounded[ends + 4 * m : ends + 7 * m], 3),
        far=_into_cones(rounded[ends + 7 * m :], 3),
    )


def _into_cones(values: Sequence[int], size: int) -> tuple[tuple[int, ...], ...]:
    cones: list[tuple[int, ...]] = [(0,) * size]
    for at in range(0, len(values), size):
        head, *rest = values[at : at + size]
        square = sum(value * value for value in rest)
        least = isqrt(square - 1) + 1 if square else 0
        cones.append((max(head, least), *rest))
    return tuple(cones)


def round_fills(problem: Problem, mWh: Floats) -> tuple[int, ...]:
    """Whole mWh inside the blocks; in a local market the longer side gives up what is left over."""
    fills = [min(block.quantity_mWh, max(0, int(value))) for block, value in zip(problem.blocks, mWh, strict=True)]
    if not problem.local:
        return tuple(fills)
    rest = sum(block.direction * fill for block, fill in zip(problem.blocks, fills, strict=True))
    longer = 1 if rest > 0 else -1
    for at, block in enumerate(problem.blocks):
        cut = min(fills[at], abs(rest)) if block.direction == longer else 0
        fills[at] -= cut
        rest -= longer * cut
    return tuple(fills)
