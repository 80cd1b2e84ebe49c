"""Models of what stands at a bus: storage, photovoltaics, charging cars, voltage-dependent loads. W, Wh, hours, p.u.

Storage  E_t = E_{t-1} + h (eta_ch P_ch - P_dis / eta_dis),  soc_min E_c <= E_t <= soc_max E_c, one way at a time.
Load     P = P_N (a (V/V_N)^2 + b V/V_N + c),  a + b + c = 1, Q alike (ZIP).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from physics.errors import ModelError, PowerFlowError
from physics.powerflow import Floats, Flow, PowerFlow

SUM_TOLERANCE = 1e-9
ROUNDS_MAX = 60
SETTLED = 1e-10  # p.u. of voltage


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A battery; charging and discharging powers are limited at its terminals."""

    capacity_Wh: float
    charge_max_W: float
    discharge_max_W: float
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    soc_min: float = 0.1
    soc_max: float = 0.9

    def limits_W(self, energy_Wh: float, hours: float) -> tuple[float, float]:
        """Most that it can discharge and charge over the next `hours`, both as positive powers."""
        down = max(0.0, energy_Wh - self.soc_min * self.capacity_Wh) * self.discharge_efficiency / hours
        up = max(0.0, self.soc_max * self.capacity_Wh - energy_Wh) / self.charge_efficiency / hours
        return min(self.discharge_max_W, down), min(self.charge_max_W, up)

    def step(self, energy_Wh: float, power_W: float, hours: float) -> tuple[float, float]:
        """Withdraw `power_W` (negative: feed in) as far as possible; returns (energy after, real power)."""
        discharge, charge = self.limits_W(energy_Wh, hours)
        real_W = min(charge, max(-discharge, power_W))
        gain = real_W * self.charge_efficiency if real_W > 0 else real_W / self.discharge_efficiency
        return energy_Wh + gain * hours, real_W


@dataclass(frozen=True, slots=True, kw_only=True)
class Photovoltaics:
    """A plant behind an inverter of `rating_VA`; irradiance 1000 W/m2 at 25 degrees of the cell gives `peak_W`."""

    peak_W: float
    rating_VA: float
    per_kelvin: float = -0.004
    nominal_cell_temperature: float = 45.0

    def power_W(self, irradiance: float, air: float) -> float:
        """Active power at an irradiance in W/m2 and an air temperature in degrees Celsius."""
        cell = air + (self.nominal_cell_temperature - 20) / 800 * irradiance
        raw = self.peak_W * irradiance / 1000 * (1 + self.per_kelvin * (cell - 25))
        return float(min(self.rating_VA, max(0.0, raw)))

    def reactive_max_var(self, power_W: float) -> float:
        """Reactive power that the inverter has left, either way."""
        return float(np.sqrt(max(0.0, self.rating_VA**2 - power_W**2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A car that wants `demand_Wh` into its battery between two steps, `first` included, `last` excluded."""

    demand_Wh: float
    power_max_W: float
    first: int
    last: int
    efficiency: float = 0.92

    def schedule_W(self, prices: Sequence[float], hours: float) -> Floats:
        """Cheapest charging by step: full power in the cheapest steps of its stay, the rest in the next one."""
        powers = np.zeros(len(prices))
        left = self.demand_Wh / self.efficiency
        for at in sorted(range(self.first, min(self.last, len(prices))), key=lambda at: (prices[at], at)):
            powers[at] = min(self.power_max_W, left / hours)
            left -= powers[at] * hours
        return powers

    def missing_Wh(self, powers: Sequence[float], hours: float) -> float:
        """What a schedule leaves undone, 0 when the stay is long enough."""
        return max(0.0, self.demand_Wh - self.efficiency * hours * float(sum(powers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Zip:
    """Shares of constant impedance, current and power of a load; they add up to 1."""

    impedance: float
    current: float
    power: float

    def __post_init__(self) -> None:
        """The load at nominal voltage is the nominal load."""
        total = self.impedance + self.current + self.power
        if abs(total - 1) > SUM_TOLERANCE:
            raise ModelError(f"ZIP shares have to add up to 1, got {total}")

    def factor(self, v: Floats) -> Floats:
        """Load at a voltage in p.u. over the nominal load."""
        return np.asarray(self.impedance * v**2 + self.current * v + self.power)


def solve_zip(flow: PowerFlow, p: Floats, q: Floats, load: Zip) -> Flow:
    """AC power flow with loads that follow the voltage, by repeated flows; raises PowerFlowError if it won't settle."""
    v = np.ones(len(p))
    for _ in range(ROUNDS_MAX):
        found = flow.solve(p * load.factor(v), q * load.factor(v))
        if np.max(np.abs(found.v - v)) < SETTLED:
            return found
        v = found.v
    raise PowerFlowError(f"loads that follow the voltage don't settle in {ROUNDS_MAX} rounds")
