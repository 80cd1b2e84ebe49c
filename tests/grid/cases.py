"""Feeders, schedules and independent power flows that the tests of certificates share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np

from energy.grid.fixed import ONE
from energy.grid.network import Network
from energy.grid.schedule import BusEnergy
from energy.units import MWH_PER_W
from physics.feeders import Case
from physics.powerflow import Flow, Grid, PowerFlow, withdrawals

SLACK = 1e-9  # of the oracle: its own tolerance, far below the certificate's


def random_energies(case: Case, random: Random, load: float) -> list[BusEnergy]:
    """Baselines up to `load` times peak and PV up to `load`, with trades at some buses."""
    energies = []
    for site in case.sites:
        base = site.baseline(round(1000 * random.uniform(0, load)), round(1000 * random.uniform(0, min(1.0, load))))
        trade = round(random.uniform(-0.3, 0.3) * load * site.peak_W * MWH_PER_W)
        energies.append(replace(base, trade_p_mWh=trade, trade_q_permille=trade * 300))
    return energies


def scaled(energies: Sequence[BusEnergy], per_million: int) -> list[BusEnergy]:
    """All energies times a number."""

    def cut(value: int) -> int:
        return value * per_million // 10**6

    return [
        BusEnergy(
            bus=e.bus,
            base_p_mWh=cut(e.base_p_mWh + e.trade_p_mWh),
            base_q_mvarh=cut(e.base_q_mvarh + e.trade_q_permille // 1000),
        )
        for e in energies
    ]


def solve(flow: PowerFlow, energies: Sequence[BusEnergy], factor_permille: int = 1000) -> Flow:
    """The AC solution of a schedule, all trades cut alike."""
    return flow.solve(*withdrawals(flow.grid, energies, factor_permille))


def slack_of(grid: Grid, flow: Flow) -> float:
    """Distance to the nearest limit in p.u., negative when one is broken."""
    voltage = min(float(np.min(grid.v_max - flow.v)), float(np.min(flow.v - grid.v_min)))
    most = np.maximum(np.hypot(flow.p_from, flow.q_from), np.hypot(flow.p_to, flow.q_to))
    return min(voltage, float(np.min(grid.s_max - most)))


def by_walk(net: Network, grid: Grid, flow: Flow) -> list[tuple[float, float, float, float]]:
    """(squared voltage, P and Q at the receiving end, squared current) in the network's order, without the root."""
    rows = []
    for at in range(1, net.size):
        parent, bus = net.bus[net.parent[at]], net.bus[at]
        for k in range(len(grid.r)):
            ends = (grid.buses[int(grid.from_bus[k])], grid.buses[int(grid.to_bus[k])])
            if ends == (parent, bus):
                received = -flow.p_to[k], -flow.q_to[k]
            elif ends == (bus, parent):
                received = -flow.p_from[k], -flow.q_from[k]
            else:
                continue
            v2 = flow.v[grid.buses.index(bus)] ** 2
            rows.append((v2, *received, (received[0] ** 2 + received[1] ** 2) / v2))
    return rows


def within(low: int, value: float, high: int) -> bool:
    """Whether a float lies between two fixed-point bounds, up to its own rounding."""
    return low / ONE - SLACK <= value <= high / ONE + SLACK
