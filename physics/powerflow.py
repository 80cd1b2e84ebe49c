"""AC power flow of any feeder, radial or meshed, on power-grid-model; one model is kept and its loads are updated.

power-grid-model takes SI units: one p.u. of power is 1 VA and of voltage 1 V here, so ohm are p.u. too. The source has
a short-circuit power so large that it adds no impedance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from power_grid_model import LoadGenType, PowerGridModel, initialize_array
from power_grid_model.errors import PowerGridError  # type: ignore[attr-defined]  # re-exported without __all__

from cosmos_wire.protos import registry as pb
from energy.grid.fixed import ONE
from energy.grid.schedule import BusEnergy
from energy.units import MWH_PER_W, PERMILLE
from physics.errors import PowerFlowError

Floats = NDArray[np.float64]
STIFF_VA = 1e20
TOLERANCE = 1e-11  # of voltages, p.u.
ITERATIONS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A feeder in p.u. floats; branches in the registry's order, buses ascending by number."""

    buses: tuple[int, ...]
    root: int  # place in `buses`
    from_bus: Floats  # places in `buses`, as integers
    to_bus: Floats
    r: Floats
    x: Floats
    s_max: Floats
    v0: float
    v_min: float
    v_max: float
    s_base_W: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A solution in p.u.: magnitude of voltages by bus, power into each branch at both its ends."""

    v: Floats
    angle: Floats
    p_from: Floats
    q_from: Floats
    p_to: Floats
    q_to: Floats

    @property
    def losses(self) -> float:
        """Active power lost in all branches."""
        return float(np.sum(self.p_from + self.p_to))


def grid_of(feeder: pb.Feeder) -> Grid:
    """Read a feeder of the registry; loops are allowed."""
    buses = tuple(sorted({feeder.root_bus, *(b for br in feeder.branches for b in (br.from_bus, br.to_bus))}))
    place = {bus: at for at, bus in enumerate(buses)}
    return Grid(
        buses=buses,
        root=place[feeder.root_bus],
        from_bus=np.array([place[branch.from_bus] for branch in feeder.branches]),
        to_bus=np.array([place[branch.to_bus] for branch in feeder.branches]),
        r=np.array([branch.r_pu_q30 / ONE for branch in feeder.branches]),
        x=np.array([branch.x_pu_q30 / ONE for branch in feeder.branches]),
        s_max=np.array([branch.s_max_W / feeder.s_base_W for branch in feeder.branches]),
        v0=feeder.v0_permille / PERMILLE,
        v_min=feeder.vmin_permille / PERMILLE,
        v_max=feeder.vmax_permille / PERMILLE,
        s_base_W=feeder.s_base_W,
    )


class PowerFlow:
    """Solves one grid for many withdrawals; `open_branches` are out of service."""

    def __init__(self, grid: Grid, open_branches: Sequence[int] = ()) -> None:
        self.grid = grid
        buses, branches = len(grid.buses), len(grid.r)
        self._loads = initialize_array("input", "sym_load", buses)
        self._loads["id"] = np.arange(buses) + buses + branches
        self._loads["node"] = np.arange(buses)
        self._loads["status"] = 1
        self._loads["type"] = LoadGenType.const_power
        self._loads["p_specified"] = self._loads["q_specified"] = 0.0
        self._update = initialize_array("update", "sym_load", buses)
        self._update["id"] = self._loads["id"]
        parts: dict[Any, Any] = {
            "node": nodes_of(grid),
            "line": lines_of(grid, open_branches),
            "source": source_of(grid),
            "sym_load": self._loads,
        }
        self._model = PowerGridModel(parts)

    def solve(self, p: Floats, q: Floats) -> Flow:
        """Voltages and flows at withdrawals p + jq, p.u. by bus; raises PowerFlowError."""
        self._update["p_specified"], self._update["q_specified"] = p, q
        self._model.update(update_data={"sym_load": self._update})
        try:
            found = self._model.calculate_power_flow(error_tolerance=TOLERANCE, max_iterations=ITERATIONS_MAX)
        except PowerGridError as error:
            raise PowerFlowError(f"no AC solution: {str(error).splitlines()[0]}") from error
        return flow_of(found)


def withdrawals(grid: Grid, energies: Iterable[BusEnergy], factor_permille: int = PERMILLE) -> tuple[Floats, Floats]:
    """P and q by bus in p.u. of a schedule, all trades cut alike."""
    place = {bus: at for at, bus in enumerate(grid.buses)}
    p, q = np.zeros(len(grid.buses)), np.zeros(len(grid.buses))
    factor, unit = factor_permille / PERMILLE, MWH_PER_W * grid.s_base_W
    for energy in energies:
        at = place[energy.bus]
        p[at] += (energy.base_p_mWh + factor * energy.trade_p_mWh) / unit
        base_q = energy.base_q_mvarh + energy.base_q_permille / PERMILLE
        q[at] += (base_q + factor * energy.trade_q_permille / PERMILLE) / unit
    return p, q


def flow_of(found: Any) -> Flow:
    """The parts of power-grid-model's answer that are used here."""
    node, line = found["node"], found["line"]
    return Flow(
        v=np.array(node["u_pu"]),
        angle=np.array(node["u_angle"]),
        p_from=np.array(line["p_from"]),
        q_from=np.array(line["q_from"]),
        p_to=np.array(line["p_to"]),
        q_to=np.array(line["q_to"]),
    )


def nodes_of(grid: Grid) -> Any:
    """Buses of 1 V."""
    nodes = initialize_array("input", "node", len(grid.buses))
    nodes["id"] = np.arange(len(grid.buses))
    nodes["u_rated"] = 1.0
    return nodes


def lines_of(grid: Grid, open_branches: Sequence[int] = ()) -> Any:
    """Branches as lines without capacitance."""
    count = len(grid.r)
    lines = initialize_array("input", "line", count)
    lines["id"] = np.arange(count) + len(grid.buses)
    lines["from_node"], lines["to_node"] = grid.from_bus, grid.to_bus
    status = np.ones(count)
    status[list(open_branches)] = 0
    lines["from_status"] = lines["to_status"] = status
    lines["r1"], lines["x1"], lines["c1"], lines["tan1"] = grid.r, grid.x, 0.0, 0.0
    return lines


def source_of(grid: Grid) -> Any:
    """The substation: the root's voltage, held."""
    source = initialize_array("input", "source", 1)
    source["id"] = 2 * len(grid.buses) + len(grid.r)
    source["node"], source["status"], source["u_ref"] = grid.root, 1, grid.v0
    source["sk"] = STIFF_VA
    return source


def violations(grid: Grid, flow: Flow, slack: float = 0.0) -> list[str]:
    """Every limit that a solution breaks by more than `slack` p.u., in words."""
    found = [
        f"bus {bus}: {v:.6f} outside {grid.v_min}..{grid.v_max}"
        for bus, v in zip(grid.buses, flow.v, strict=True)
        if not grid.v_min - slack <= v <= grid.v_max + slack
    ]
    most = np.maximum(np.hypot(flow.p_from, flow.q_from), np.hypot(flow.p_to, flow.q_to))
    for at in np.nonzero(most > grid.s_max + slack)[0]:
        ends = f"{grid.buses[int(grid.from_bus[at])]}-{grid.buses[int(grid.to_bus[at])]}"
        found.append(f"branch {ends}: {most[at]:.6f} above {grid.s_max[at]}")
    return found
