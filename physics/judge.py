"""Whether a schedule keeps a feeder's limits, whole and after each listed loss: a validator's own opinion, in floats.

    python -m physics.judge     requests on stdin, verdicts on stdout, each a message behind its length (u32 big-endian)

Every limit is tightened by the margin, so that the last bits of different machines decide nothing: voltages between
v_min (1 + m) and v_max (1 - m), flows up to s_max (1 - m). What a loss cuts off from the root is dark: its withdrawals
are gone, the rest has to keep its limits. The process ends with its stdin, so that it never outlives its node.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from cosmos_wire.protos import market_ballot as pb
from cosmos_wire.protos import registry
from energy.units import MWH_PER_W, PERMILLE
from physics.errors import PowerFlowError
from physics.powerflow import Floats, Grid, PowerFlow, grid_of, violations

LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The feeder without one branch, or whole: its solver and which buses still hang on the root."""

    name: str
    solver: PowerFlow
    lit: Floats  # 1 or 0 by bus; the solver leaves out what is dark


class Judge:
    """Judges schedules on one feeder; solvers are kept."""

    def __init__(self, feeder: registry.Feeder, margin_permille: int) -> None:
        whole, margin = grid_of(feeder), margin_permille / PERMILLE
        self._grid = replace(
            whole, v_min=whole.v_min * (1 + margin), v_max=whole.v_max * (1 - margin), s_max=whole.s_max * (1 - margin)
        )
        self._place = {bus: at for at, bus in enumerate(self._grid.buses)}
        self._cases = [_case(self._grid, ())] + [_case(self._grid, (lost,)) for lost in feeder.contingencies]

    def fault(self, buses: Iterable[pb.CandidateBus]) -> str:
        """The first limit that a schedule breaks, in words; empty when it breaks none."""
        p, q = np.zeros(len(self._place)), np.zeros(len(self._place))
        unit = MWH_PER_W * self._grid.s_base_W
        for bus in buses:
            at = self._place.get(bus.bus)
            if at is None:
                return f"bus {bus.bus} is not on the feeder"
            p[at] += bus.p_mWh / unit
            q[at] += bus.q_mvarh / unit
        for case in self._cases:
            broken = _broken(case, p, q)
            if broken:
                return f"{broken}{case.name}"
        return ""


def _case(grid: Grid, lost: tuple[int, ...]) -> Case:
    name = ""
    if lost:
        ends = (grid.buses[int(row[lost[0]])] for row in (grid.from_bus, grid.to_bus))
        name = " after the loss of {}-{}".format(*ends)
    return Case(name=name, solver=PowerFlow(grid, lost), lit=_lit(grid, lost))


def _lit(grid: Grid, lost: tuple[int, ...]) -> Floats:
    lit = np.zeros(len(grid.buses))
    lit[grid.root] = 1
    kept = [
        (int(a), int(b)) for at, (a, b) in enumerate(zip(grid.from_bus, grid.to_bus, strict=True)) if at not in lost
    ]
    grown = True
    while grown:
        grown = False
        for a, b in kept:
            if lit[a] != lit[b]:
                lit[a] = lit[b] = 1
                grown = True
    return lit


def _broken(case: Case, p: Floats, q: Floats) -> str:
    try:
        flow = case.solver.solve(p, q)
    except PowerFlowError as error:
        return str(error)
    grid = case.solver.grid
    alive = replace(flow, v=np.where(case.lit == 1, flow.v, (grid.v_min + grid.v_max) / 2))
    return next(iter(violations(grid, alive)), "")


def verdict_of(request: pb.JudgeRequest, judges: dict[bytes, Judge]) -> pb.JudgeVerdict:
    """Judge a candidate; `judges` keeps the one of the latest feeder."""
    if request.digest not in judges:
        judges.clear()
        judges[request.digest] = Judge(request.feeder, request.margin_permille)
    fault = judges[request.digest].fault(request.candidate.buses)
    return pb.JudgeVerdict(digest=request.digest, hash=request.candidate.hash, secure=not fault, reason=fault)


def serve(requests: BinaryIO, verdicts: BinaryIO) -> None:
    """Answer until the requests end."""
    judges: dict[bytes, Judge] = {}
    while len(head := requests.read(LENGTH_BYTES)) == LENGTH_BYTES:
        request = pb.JudgeRequest.FromString(requests.read(int.from_bytes(head, "big")))
        answer = verdict_of(request, judges).SerializeToString()
        verdicts.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        verdicts.flush()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with its node, whose stdin it reads
    serve(sys.stdin.buffer, sys.stdout.buffer)
