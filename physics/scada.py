"""What a utility cell measures itself, and what it makes of its cells' meters with it.

Branches and voltages are measured (here: simulated from a power flow, with seeded noise), the cells' meters add up to
withdrawals by bus. Weighted least squares on both finds the likely state; a bus whose meters it throws out (largest
normalised residual) has a reading that is not of this state, and a bus with a silent meter gets what the state says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from energy.units import MWH_PER_W
from physics.estimation import Estimator, Meter, Quantity
from physics.powerflow import Floats, Grid, PowerFlow

SIGMA = 1e-3  # p.u. of a measurement of the utility cell, and of a bus's meters together
SIGMA_NOTHING = 1e-4  # where nothing stands, nothing is withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSite:
    """A cell's meter: where it stands, what it may show, what was expected of it (mWh, withdrawal positive)."""

    device: str
    bus: int
    low_mWh: int
    high_mWh: int
    expected_mWh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Estimates in mWh by device: of silent meters, and of those whose readings the measurements contradict."""

    silent: Mapping[str, int]
    disputed: Mapping[str, int]
    buses: Mapping[int, tuple[int, int]]  # (sum of the readings, estimate) of each bus with meters
    largest: float  # normalised residual of what was kept


class Scada:
    """The utility cell's own measurements of one feeder."""

    def __init__(self, grid: Grid, seed: int, sigma: float = SIGMA) -> None:
        self.grid, self.seed, self.sigma = grid, seed, sigma
        self._flow = PowerFlow(grid)

    def measure(self, slot: int, p: Floats, q: Floats) -> list[Meter]:
        """Voltages and flows at both ends of every branch when p + jq is withdrawn; a slot has its own noise."""
        flow = self._flow.solve(p, q)
        noise = np.random.default_rng([self.seed, slot])
        columns = [
            (Quantity.VOLTAGE, flow.v),
            (Quantity.P_FROM, flow.p_from),
            (Quantity.Q_FROM, flow.q_from),
            (Quantity.P_TO, flow.p_to),
            (Quantity.Q_TO, flow.q_to),
        ]
        return [
            Meter(
                quantity=quantity, place=at, value=float(value + self.sigma * noise.standard_normal()), sigma=self.sigma
            )
            for quantity, values in columns
            for at, value in enumerate(values)
        ]


class MeterCheck:
    """Holds readings against measurements on one feeder."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._estimator = Estimator(grid)
        self._place = {bus: at for at, bus in enumerate(grid.buses)}
        self._unit = MWH_PER_W * grid.s_base_W

    def judge(self, sites: Sequence[MeterSite], readings: Mapping[str, int], measured: Sequence[Meter]) -> Verdict:
        """Which meters lie, and what the silent ones would say; raises ObservabilityError.

        `readings` are net withdrawals by device, mWh; a device without one is silent.
        """
        at_bus: dict[int, list[MeterSite]] = {}
        for site in sites:
            at_bus.setdefault(site.bus, []).append(site)
        told = {bus: here for bus, here in at_bus.items() if all(site.device in readings for site in here)}
        sums = {bus: sum(readings.get(site.device, 0) for site in here) for bus, here in at_bus.items()}
        meters = [*measured, *self._of_buses({bus: sums[bus] for bus in told}, at_bus)]
        found = self._estimator.estimate(meters)
        likely = {bus: round(float(found.p[self._place[bus]]) * self._unit) for bus in at_bus}
        bad = {self.grid.buses[meters[at].place] for at in found.bad if meters[at].quantity == Quantity.P_BUS}
        silent: dict[str, int] = {}
        disputed: dict[str, int] = {}
        for bus, here in sorted(at_bus.items()):
            if bus not in told:
                silent |= _shared(here, readings, likely[bus] - sums[bus])
            elif bus in bad:
                disputed |= _suspect(here, readings, likely[bus] - sums[bus])
        buses = {bus: (sums[bus], likely[bus]) for bus in sorted(at_bus)}
        return Verdict(silent=silent, disputed=disputed, buses=buses, largest=found.largest)

    def _of_buses(self, sums: Mapping[int, int], at_bus: Mapping[int, object]) -> list[Meter]:
        """Withdrawals of buses whose meters all spoke; nothing where no meter stands."""
        rows = [(bus, total / self._unit, SIGMA) for bus, total in sorted(sums.items())]
        rows += [(bus, 0.0, SIGMA_NOTHING) for bus in self.grid.buses if bus not in at_bus and bus != self._root]
        return [
            Meter(quantity=Quantity.P_BUS, place=self._place[bus], value=value, sigma=sigma)
            for bus, value, sigma in rows
        ]

    @property
    def _root(self) -> int:
        return self.grid.buses[self.grid.root]


def _shared(sites: Sequence[MeterSite], readings: Mapping[str, int], rest_mWh: int) -> dict[str, int]:
    """What a bus's silent meters share: each what was expected of it, and an equal part of what is left over."""
    quiet = [site for site in sites if site.device not in readings]
    left = rest_mWh - sum(site.expected_mWh for site in quiet)
    return {site.device: _within(site, site.expected_mWh + left // len(quiet)) for site in quiet}


def _suspect(sites: Sequence[MeterSite], readings: Mapping[str, int], shift_mWh: int) -> dict[str, int]:
    """The one meter of a bus whose reading, moved by what is missing, comes closest to what was expected of it."""

    def gain(site: MeterSite) -> int:
        said = readings[site.device]
        return abs(said - site.expected_mWh) - abs(_within(site, said + shift_mWh) - site.expected_mWh)

    worst = max(sites, key=lambda site: (gain(site), site.device))
    return {worst.device: _within(worst, readings[worst.device] + shift_mWh)}


def _within(site: MeterSite, energy_mWh: int) -> int:
    return min(site.high_mWh, max(site.low_mWh, energy_mWh))
