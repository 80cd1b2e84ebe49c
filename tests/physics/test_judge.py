"""A validator's judge: verdicts on meshed feeders, with losses, against power flows made here; and the process."""

from __future__ import annotations

import io
import subprocess
import sys
from random import Random

import numpy as np
import pytest

from cosmos_wire.protos import market_ballot as pb
from cosmos_wire.protos import registry
from energy.units import MWH_PER_W
from physics.feeders import sce56
from physics.judge import Judge, serve, verdict_of
from physics.powerflow import PowerFlow, grid_of
from tests.energy.test_ballot import ring

BASE_W = 10_000


def buses(*rows: tuple[int, int]) -> list[pb.CandidateBus]:
    """(bus, W) drawn over the slot."""
    return [pb.CandidateBus(bus=bus, p_mWh=power_W * MWH_PER_W) for bus, power_W in rows]


def tied(contingencies: tuple[int, ...] = ()) -> registry.Feeder:
    """The 56-bus feeder with a tie between the ends of two laterals: a mesh."""
    feeder = sce56().feeder
    feeder.mode = registry.SECURITY_MODE_BALLOT
    tie = feeder.branches[3]
    feeder.branches.add(from_bus=56, to_bus=30, r_pu_q30=tie.r_pu_q30, x_pu_q30=tie.x_pu_q30, s_max_W=3_000_000)
    feeder.contingencies[:] = contingencies
    return feeder


def request_of(feeder: registry.Feeder, rows: list[pb.CandidateBus], name: bytes = b"h") -> pb.JudgeRequest:
    made = pb.JudgeRequest(digest=b"d", margin_permille=2, feeder=feeder)
    made.candidate.hash = name
    made.candidate.buses.extend(rows)
    return made


def test_a_ring_carries_what_two_branches_carry_and_not_more() -> None:
    judge = Judge(ring(), 0)
    assert judge.fault(buses((2, 30_000))) == ""
    assert "branch" in judge.fault(buses((2, 45_000)))


def test_a_loss_leaves_half_of_it() -> None:
    judge = Judge(ring(contingencies=(0,)), 0)
    assert judge.fault(buses((2, 15_000))) == ""
    fault = judge.fault(buses((2, 30_000)))
    assert fault.endswith(" after the loss of 0-1")


def test_what_a_loss_cuts_off_is_dark_and_breaks_nothing() -> None:
    feeder = ring(contingencies=(4,))
    feeder.branches.add(from_bus=2, to_bus=7, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=5_000)
    judge = Judge(feeder, 0)
    assert judge.fault(buses((7, 4_000))) == ""
    assert "2-7" in judge.fault(buses((7, 6_000)))


def test_a_loss_of_supply_can_hurt() -> None:
    """A plant behind the branch feeds the trunk's neighbours: without it the trunk carries too much."""
    feeder = registry.Feeder(
        s_base_W=BASE_W,
        root_bus=0,
        v0_permille=1000,
        vmin_permille=900,
        vmax_permille=1100,
        mode=registry.SECURITY_MODE_BALLOT,
        branches=[
            registry.Branch(from_bus=0, to_bus=1, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=6_000),
            registry.Branch(from_bus=1, to_bus=2, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=9_000),
        ],
    )
    schedule = buses((1, 8_000), (2, -5_000))
    assert Judge(feeder, 0).fault(schedule) == ""
    feeder.contingencies.append(1)
    assert Judge(feeder, 0).fault(schedule).endswith(" after the loss of 1-2")


LOSSES = (10, 30, 55)  # a lateral, a branch of the mesh, the tie itself


@pytest.mark.parametrize("margin", [0, 2, 10])
def test_verdicts_are_those_of_a_power_flow_with_tighter_limits(margin: int) -> None:
    feeder, random = tied(LOSSES), Random(margin)
    judge, grid = Judge(feeder, margin), grid_of(feeder)
    seen = {True: 0, False: 0}
    for _ in range(30):
        size = random.uniform(10_000, 120_000)
        rows = buses(*((bus, round(random.uniform(-0.2, 1) * size)) for bus in grid.buses[1:]))
        expected = all(survives(feeder, rows, lost, margin / 1000) for lost in (None, *LOSSES))
        assert (judge.fault(rows) == "") is expected
        seen[expected] += 1
    assert min(seen.values()) > 3


def survives(feeder: registry.Feeder, rows: list[pb.CandidateBus], lost: int | None, margin: float) -> bool:
    grid = grid_of(feeder)
    dark = behind(feeder, lost)
    alive = np.array([float(bus not in dark) for bus in grid.buses])
    p = np.array([0, *(row.p_mWh / (MWH_PER_W * grid.s_base_W) for row in rows)])
    found = PowerFlow(grid, () if lost is None else (lost,)).solve(p * alive, p * 0)
    v = found.v[alive == 1]
    most = np.maximum(np.hypot(found.p_from, found.q_from), np.hypot(found.p_to, found.q_to))
    inside = np.all((v >= grid.v_min * (1 + margin)) & (v <= grid.v_max * (1 - margin)))
    return bool(inside and np.all(most <= grid.s_max * (1 - margin)))


def behind(feeder: registry.Feeder, lost: int | None) -> set[int]:
    """Buses that hang on the root no more without a branch."""
    reached, waiting = {feeder.root_bus}, [feeder.root_bus]
    while waiting:
        at = waiting.pop()
        for number, branch in enumerate(feeder.branches):
            ends = {branch.from_bus, branch.to_bus}
            if number != lost and at in ends and not ends <= reached:
                (other,) = ends - {at}
                reached.add(other)
                waiting.append(other)
    every = {bus for branch in feeder.branches for bus in (branch.from_bus, branch.to_bus)}
    return every - reached


@pytest.mark.parametrize(
    ("power_W", "words"),
    [(39_330, "branch"), (12_000, "0.995279"), (-12_000, "1.004655")],
)
def test_the_margin_tightens_every_limit(power_W: int, words: str) -> None:
    """Flow, low and high voltage: inside the limit, and beyond it by less than a margin of 2 permille."""
    feeder = ring()
    if "." in words:
        feeder.vmin_permille, feeder.vmax_permille = 995, 1005
    assert Judge(feeder, 0).fault(buses((2, power_W))) == ""
    assert words in Judge(feeder, 2).fault(buses((2, power_W)))


def test_a_schedule_without_a_solution_or_off_the_feeder_is_not_secure() -> None:
    judge = Judge(ring(), 2)
    assert "AC solution" in judge.fault(buses((2, 10**8)))
    assert judge.fault(buses((9, 1))) == "bus 9 is not on the feeder"


def test_the_service_answers_each_request_and_ends_with_them() -> None:
    asked = [request_of(ring(), buses((2, power)), name) for power, name in ((1_000, b"a"), (90_000, b"b"))]
    data = b"".join(len(raw).to_bytes(4, "big") + raw for raw in (item.SerializeToString() for item in asked))
    out = io.BytesIO()
    serve(io.BytesIO(data + b"\0"), out)
    raw, found = out.getvalue(), []
    while raw:
        length = int.from_bytes(raw[:4], "big")
        found.append(pb.JudgeVerdict.FromString(raw[4 : 4 + length]))
        raw = raw[4 + length :]
    assert [(item.digest, item.hash, item.secure) for item in found] == [(b"d", b"a", True), (b"d", b"b", False)]
    assert found[1].reason


def test_another_feeder_takes_the_place_of_the_one_before() -> None:
    judges: dict[bytes, Judge] = {}
    for digest in (b"1", b"2"):
        request = request_of(ring(), buses((2, 1_000)))
        request.digest = digest
        assert verdict_of(request, judges).secure
    assert list(judges) == [b"2"]


def test_the_process_ends_with_its_stdin() -> None:
    raw = request_of(ring(), buses((2, 1_000))).SerializeToString()
    done = subprocess.run(
        [sys.executable, "-m", "physics.judge"],
        input=len(raw).to_bytes(4, "big") + raw,
        capture_output=True,
        check=True,
    )
    assert pb.JudgeVerdict.FromString(done.stdout[4:]).secure
