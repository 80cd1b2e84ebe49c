"""Security-constrained optimal power flow: one set of fills that the feeder bears whole and after each listed loss.

The programmes of `physics.opf` of the whole feeder and of what each contingency leaves of it are stacked; they share
the columns of the fills, and costs count in the first alone. Nothing is dispatched anew after a loss. Fills are checked
by `energy.grid.contingency.certify_all`. The price of a bus is the sum of its multipliers over all cases in which it is
alive, so it contains what security costs (and the least price of losses, once a case). C3 bounds the problem without
contingencies only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import clarabel
import numpy as np
from scipy import sparse

from energy.grid.dispatch import Problem
from energy.grid.network import Network
from physics.errors import DispatchError
from physics.opf import MARGIN, SOLVED, Dispatch, Floats, Solution, costs_of, dispatch_of, right_side, solver_settings
from physics.opf_rows import Layout, layout_of, matrix_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A network with the blocks that are alive in it."""

    problem: Problem
    layout: Layout
    shared: tuple[int, ...]  # columns of its fills among all fills
    right: Floats


def solve_secure(problem: Problem, networks: Sequence[Network], margin: float = MARGIN) -> Dispatch:
    """The best schedule that `problem.net` and each of `networks` bear; raises DispatchError when there is none."""
    cases = [_case(problem, problem.net, margin, first=True)]
    cases += [_case(problem, net, margin, first=False) for net in networks if net.size > 1]
    matrix, places = _stack(cases, len(problem.blocks))
    scale = float(max(1, problem.import_e4, *(block.price_e4 for block in problem.blocks)))
    costs = np.zeros(matrix.shape[1])
    for at, (case, columns) in enumerate(zip(cases, places, strict=True)):
        own = costs_of(case.problem, case.layout)
        start = 0 if at == 0 else case.layout.drawn
        costs[columns[start:]] += own[start:] / scale
    cones = [cone for case in cases for cone in case.layout.cones()]
    right = np.concatenate([case.right for case in cases])
    empty = sparse.csc_matrix((matrix.shape[1], matrix.shape[1]))
    found = clarabel.DefaultSolver(empty, costs, matrix, right, cones, solver_settings()).solve()
    if found.status not in SOLVED:
        raise DispatchError(f"the secure power flow ends as {found.status}, expected Solved")
    return _read(cases, places, Solution(x=np.array(found.x), z=np.array(found.z) * scale, iterations=found.iterations))


def _case(problem: Problem, net: Network, margin: float, *, first: bool) -> _Case:
    shared = tuple(at for at, block in enumerate(problem.blocks) if block.bus in net.index)
    alive = replace(
        problem,
        net=net,
        base=tuple(energy for energy in problem.base if energy.bus in net.index),
        blocks=tuple(problem.blocks[at] for at in shared),
        import_e4=problem.import_e4 if first else 0,
        export_e4=problem.export_e4 if first else 0,
        local=problem.local and first,
    )
    shapes = [(net.index[b.bus], b.direction, b.reactive_permille) for b in alive.blocks]
    layout = layout_of(net, shapes, alive.local, gan=True)
    return _Case(problem=alive, layout=layout, shared=shared, right=right_side(layout, alive, margin))


def _stack(cases: Sequence[_Case], fills: int) -> tuple[sparse.csc_matrix, list[list[int]]]:
    """The matrix of all cases, and where each case's columns lie in it."""
    places, parts, columns, rows = [], [], fills, 0
    for case in cases:
        own = case.layout.columns - case.layout.drawn
        places.append([*case.shared, *range(columns, columns + own)])
        columns += own
        parts.append(matrix_of(case.layout).tocoo())
    entries: list[tuple[Floats, Floats, Floats]] = []
    for part, place in zip(parts, places, strict=True):
        entries.append((part.data, part.row + rows, np.array(place)[part.col]))
        rows += part.shape[0]
    data, at, across = (np.concatenate(list(column)) for column in zip(*entries, strict=True))
    return sparse.csc_matrix((data, (at, across)), shape=(rows, columns)), places


def _read(cases: Sequence[_Case], places: Sequence[Sequence[int]], found: Solution) -> Dispatch:
    rows, dispatches = 0, []
    for case, columns in zip(cases, places, strict=True):
        count = len(case.right)
        part = Solution(x=found.x[list(columns)], z=found.z[rows : rows + count], iterations=found.iterations)
        dispatches.append(dispatch_of(case.problem, case.layout, part))
        rows += count
    first, net = dispatches[0], cases[0].problem.net
    prices = first.prices_e4.copy()
    for case, dispatch in zip(cases[1:], dispatches[1:], strict=True):
        for at, bus in enumerate(case.problem.net.bus):
            prices[net.index[bus]] += dispatch.prices_e4[at]
    return replace(first, prices_e4=prices)
