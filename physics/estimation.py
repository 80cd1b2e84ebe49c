"""State estimation from meters: weighted least squares on the AC equations, and which meter lies.

    x = argmin (z - h(x))' R^-1 (z - h(x)),    x = angles (root 0) and magnitudes of the voltages

by Gauss-Newton with a QR factorisation. The meter whose normalised residual |r_i| / sqrt(Omega_ii) is the largest, if
above a threshold, is taken out and the rest estimated anew (Handschin, Schweppe, Kohlas, Fiechter, 1975). An attack
that moves the readings as another state would, a = h(x + c) - h(x), leaves the residuals as they are: no test on them
finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from physics.errors import ObservabilityError
from physics.powerflow import Floats, Flow, Grid

Complexes = NDArray[np.complex128]
THRESHOLD = 4.0  # of the largest normalised residual: about one false alarm in 100 sets of 250 honest meters
STEPS_MAX = 20
STEP_SMALL = 1e-9
REMOVALS_MAX = 12
CRITICAL = 1e-7  # share of a meter's variance that the others leave open; below it nothing can check the meter


class Quantity(Enum):
    """What a meter reads; powers are withdrawals at buses and flows into branches."""

    VOLTAGE = "v"
    P_BUS = "p"
    Q_BUS = "q"
    P_FROM = "p_from"
    Q_FROM = "q_from"
    P_TO = "p_to"
    Q_TO = "q_to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One reading in p.u.: of a bus (its place in the grid's order) or of a branch, with its standard deviation."""

    quantity: Quantity
    place: int
    value: float
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The most likely state, withdrawals by bus in p.u., and the meters (by place in the list) that were thrown out."""

    v: Floats
    angle: Floats
    p: Floats
    q: Floats
    bad: tuple[int, ...]
    critical: tuple[int, ...]  # meters that no other can check
    squares: float  # sum of weighted squares of what was kept
    freedom: int  # its expectation: meters kept - unknowns
    largest: float  # normalised residual of what was kept


class Estimator:
    """Estimates states of one grid."""

    def __init__(self, grid: Grid) -> None:
        buses, branches = len(grid.buses), len(grid.r)
        admittance = 1 / (grid.r + 1j * grid.x)
        ends = np.zeros((2, branches, buses))
        ends[0, np.arange(branches), grid.from_bus.astype(int)] = 1
        ends[1, np.arange(branches), grid.to_bus.astype(int)] = 1
        self._grid, self._ends = grid, ends
        difference = admittance[:, None] * (ends[0] - ends[1])
        self._branch = (difference, -difference)
        self._bus = ends[0].T @ difference - ends[1].T @ difference
        self._free = np.array([at for at in range(buses) if at != grid.root] + [buses + at for at in range(buses)])

    def estimate(self, meters: Sequence[Meter], threshold: float = THRESHOLD) -> Estimate:
        """The state without the meters that lie; raises ObservabilityError when too few are left to tell."""
        kept, bad = list(range(len(meters))), list[int]()
        while True:
            found = self._fit([meters[at] for at in kept])
            worst = int(np.argmax(found.normal))
            if found.normal[worst] <= threshold or len(bad) == REMOVALS_MAX:
                return self._result(found, kept, bad)
            bad.append(kept.pop(worst))

    def _result(self, found: _Fit, kept: list[int], bad: list[int]) -> Estimate:
        voltage = found.v * np.exp(1j * found.angle)
        power = -voltage * np.conj(self._bus @ voltage)
        return Estimate(
            v=found.v,
            angle=found.angle,
            p=power.real,
            q=power.imag,
            bad=tuple(bad),
            critical=tuple(kept[at] for at in np.nonzero(found.open_share < CRITICAL)[0]),
            squares=float(found.residuals @ found.residuals),
            freedom=len(kept) - len(self._free),
            largest=float(np.max(found.normal)),
        )

    def _fit(self, meters: Sequence[Meter]) -> _Fit:
        readings = np.array([meter.value for meter in meters])
        weights = 1 / np.array([meter.sigma for meter in meters])
        buses = len(self._grid.buses)
        state = np.concatenate([np.zeros(buses), np.full(buses, self._grid.v0)])
        for _ in range(STEPS_MAX):
            expected, slopes = self._model(state, meters)
            slopes = slopes[:, self._free] * weights[:, None]
            q, r = np.linalg.qr(slopes) if len(meters) >= len(self._free) else (slopes, np.zeros((1, 1)))
            if np.min(np.abs(np.diag(r))) < STEP_SMALL * np.max(np.abs(slopes)):
                raise ObservabilityError(
                    f"{len(meters)} meters don't determine {len(self._free)} unknowns of {buses} buses"
                )
            step = np.linalg.solve(r, q.T @ ((readings - expected) * weights))
            state[self._free] += step
            if np.max(np.abs(step)) < STEP_SMALL:
                break
        expected, _ = self._model(state, meters)
        residuals = (readings - expected) * weights
        open_share = np.maximum(1 - np.sum(q * q, axis=1), 0)
        checked = np.where(open_share < CRITICAL, np.inf, open_share)
        return _Fit(
            angle=state[:buses],
            v=state[buses:],
            residuals=residuals,
            normal=np.abs(residuals) / np.sqrt(checked),
            open_share=open_share,
        )

    def _model(self, state: Floats, meters: Sequence[Meter]) -> tuple[Floats, Floats]:
        """What the meters should read in a state, and by how much that changes with every angle and magnitude."""
        buses = len(self._grid.buses)
        v, voltage = state[buses:], state[buses:] * np.exp(1j * state[:buses])
        direction = voltage / v
        values, slopes = {"v": v}, {"v": np.hstack([np.zeros((buses, buses)), np.eye(buses)])}
        tables = {"bus": (-np.eye(buses), self._bus), "from": (self._ends[0], self._branch[0])}
        tables["to"] = (self._ends[1], self._branch[1])
        for name, (at, admittance) in tables.items():
            here, current = at @ voltage, admittance @ voltage
            power = here * np.conj(current)
            by_angle = 1j * (np.conj(current)[:, None] * at * voltage - here[:, None] * np.conj(admittance * voltage))
            by_size = here[:, None] * np.conj(admittance * direction) + np.conj(current)[:, None] * at * direction
            slope = np.hstack([by_angle, by_size])
            for part, pick in (("p", np.real), ("q", np.imag)):
                key = part if name == "bus" else f"{part}_{name}"
                values[key], slopes[key] = pick(power), pick(slope)
        rows = [(meter.quantity.value, meter.place) for meter in meters]
        return np.array([values[key][at] for key, at in rows]), np.array([slopes[key][at] for key, at in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    angle: Floats
    v: Floats
    residuals: Floats  # weighted
    normal: Floats  # normalised; 0 where nothing checks the meter
    open_share: Floats


def readings_of(flow: Flow, p: Floats, q: Floats, sigma: float) -> list[Meter]:
    """Every meter that there could be, reading a solved flow exactly: what a fully metered feeder would say."""
    columns = [
        (Quantity.VOLTAGE, flow.v),
        (Quantity.P_BUS, p),
        (Quantity.Q_BUS, q),
        (Quantity.P_FROM, flow.p_from),
        (Quantity.Q_FROM, flow.q_from),
        (Quantity.P_TO, flow.p_to),
        (Quantity.Q_TO, flow.q_to),
    ]
    return [
        Meter(quantity=quantity, place=at, value=float(value), sigma=sigma)
        for quantity, values in columns
        for at, value in enumerate(values)
    ]
