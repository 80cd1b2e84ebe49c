"""The best schedule of a slot's auction by an interior point on the full AC equations, which shares nothing with ours.

PYPOWER's optimal power flow (as pandapower carries it): bids are dispatchable loads at a constant power factor, asks
generators, one more row says that bids and asks balance, the root takes the rest at the price of losses. Branches are
limited by current, at 1 p.u. of voltage the rating: where voltages are higher that is a little more than ours bear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandapower.pypower.idx_brch import branch_cols
from pandapower.pypower.opf import opf
from pandapower.pypower.ppoption import ppoption
from scipy.sparse import csr_matrix

from cosmos_wire.protos import registry as pb
from energy.grid.dispatch import BID, Block, Problem
from tests.grid.by_pandapower import MWH_PER_MW

Floats = NDArray[np.float64]
PQ, REF = 1.0, 3.0
FAR_MW = 100.0


def fills_of(problem: Problem, feeder: pb.Feeder) -> list[float]:
    """Fills of the blocks in mWh at the optimum that it finds."""
    places = {bus: at for at, bus in enumerate(problem.net.bus)}
    root = places[feeder.root_bus]
    gens, costs = _gens(problem.blocks, places, root), _costs(problem)
    case = {
        "baseMVA": feeder.s_base_W / 1e6,
        "bus": _buses(problem, feeder, places),
        "branch": _branches(feeder, places),
        "gen": gens,
        "gencost": costs,
    }
    case["userfcn"] = {"formulation": [{"fcn": _balanced, "args": len(gens)}]}
    found = opf(case, ppoption(VERBOSE=0, OUT_ALL=0, INIT="flat", OPF_FLOW_LIM=2, OPF_VIOLATION=1e-8))
    assert found["success"]
    return [abs(float(p)) * MWH_PER_MW for p in found["gen"][1:, 1]]


def _balanced(model: Any, gens: int) -> Any:
    """All generators but the root feed in as much as they draw."""
    row = np.ones((1, gens))
    row[0, 0] = 0.0
    model.add_constraints("balance", csr_matrix(row), np.zeros(1), np.zeros(1), ["Pg"])
    return model


def _buses(problem: Problem, feeder: pb.Feeder, places: dict[int, int]) -> Floats:
    rows = np.zeros((len(places), 13))
    rows[:, 0], rows[:, 1], rows[:, 6], rows[:, 7], rows[:, 9], rows[:, 10] = range(len(places)), PQ, 1, 1, 10.0, 1
    rows[:, 11], rows[:, 12] = feeder.vmax_permille / 1000, feeder.vmin_permille / 1000
    root = places[feeder.root_bus]
    rows[root, [1, 11, 12]] = REF, feeder.v0_permille / 1000, feeder.v0_permille / 1000
    for energy in problem.base:
        reactive = energy.base_q_mvarh + (energy.base_q_permille + energy.trade_q_permille) / 1000
        rows[places[energy.bus], 2] += (energy.base_p_mWh + energy.trade_p_mWh) / MWH_PER_MW
        rows[places[energy.bus], 3] += reactive / MWH_PER_MW
    return rows


def _branches(feeder: pb.Feeder, places: dict[int, int]) -> Floats:
    rows = np.zeros((len(feeder.branches), branch_cols))
    for row, branch in zip(rows, feeder.branches, strict=True):
        row[[0, 1]] = places[branch.from_bus], places[branch.to_bus]
        row[[2, 3]] = branch.r_pu_q30 / 2**30, branch.x_pu_q30 / 2**30
        row[5], row[10], row[11], row[12] = branch.s_max_W / 1e6, 1, -360, 360
    return rows


def _gens(blocks: Sequence[Block], places: dict[int, int], root: int) -> Floats:
    rows = np.zeros((len(blocks) + 1, 21))
    rows[:, 5], rows[:, 6], rows[:, 7] = 1.0, 1.0, 1
    rows[0, [0, 3, 4, 8, 9]] = root, FAR_MW, -FAR_MW, FAR_MW, -FAR_MW
    for row, block in zip(rows[1:], blocks, strict=True):
        most = block.quantity_mWh / MWH_PER_MW
        row[0] = places[block.bus]
        if block.direction == BID:
            row[9], row[4] = -most, -most * block.reactive_permille / 1000
        else:
            row[8] = most
    return rows


def _costs(problem: Problem) -> Floats:
    rows = np.zeros((len(problem.blocks) + 1, 6))
    rows[:, 0], rows[:, 3] = 2, 2
    rows[0, 4] = problem.import_e4 / 1e4
    for row, block in zip(rows[1:], problem.blocks, strict=True):
        row[4] = block.price_e4 / 1e4
    return rows
