"""Energies of a slot at the buses, and the per-unit powers that they stand for, rounded outward.

    p = (baseline + bids - asks), q = baseline + sum tan_phi * trade        withdrawal positive
    p.u. at 2^-30 = mWh * 2^30 / (250 * s_base_W)                           a slot stands for 900 s

A curtailment factor cuts every order's fill on its own and rounds it down, so the sum over a bus may differ from the
cut sum by less than a unit an order: `rounding_mWh` widens the range by as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from energy.errors import FeederMalformed
from energy.grid.fixed import BITS, ceil_div
from energy.grid.network import Network
from energy.units import MWH_PER_W, PERMILLE


@dataclass(frozen=True, slots=True, kw_only=True)
class BusEnergy:
    """What a bus withdraws in a slot: its baseline and its trades, reactive trades in permille of a mvarh."""

    bus: int
    base_p_mWh: int = 0
    base_q_mvarh: int = 0
    base_q_permille: int = 0  # more of the same, in permille of a mvarh
    trade_p_mWh: int = 0  # fills bought - sold
    trade_q_permille: int = 0  # sum over orders of tan_phi_permille * (bought - sold)
    rounding_mWh: int = 0  # orders at the bus
    rounding_q_permille: int = 0  # sum of their tan_phi_permille


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """Ranges of the withdrawals of every bus of a network, at 2^-30 p.u."""

    p_low: tuple[int, ...]
    p_high: tuple[int, ...]
    q_low: tuple[int, ...]
    q_high: tuple[int, ...]


def injection_of(net: Network, energies: Iterable[BusEnergy], factor_permille: int = PERMILLE) -> Injection:
    """The withdrawals under a factor on all trades; buses that nothing is said of withdraw nothing."""
    ranges = [[0] * net.size for _ in range(4)]
    for energy in energies:
        at = net.index.get(energy.bus)
        if at is None:
            raise FeederMalformed(f"bus {energy.bus} is not on the feeder, which has {net.size} buses")
        for row, value in zip(ranges, _bus_range(energy, factor_permille, net.s_base_W), strict=True):
            row[at] += value
    p_low, p_high, q_low, q_high = (tuple(row) for row in ranges)
    return Injection(p_low=p_low, p_high=p_high, q_low=q_low, q_high=q_high)


def _bus_range(energy: BusEnergy, factor_permille: int, s_base_W: int) -> tuple[int, int, int, int]:
    cut = 0 < factor_permille < PERMILLE
    p = _scaled(energy.trade_p_mWh, factor_permille, energy.rounding_mWh if cut else 0)
    q = _scaled(energy.trade_q_permille, factor_permille, energy.rounding_q_permille if cut else 0)
    unit = MWH_PER_W * s_base_W
    base_p, base_q = energy.base_p_mWh, energy.base_q_mvarh * PERMILLE + energy.base_q_permille
    return (
        (base_p + p[0] << BITS) // unit,
        ceil_div(base_p + p[1] << BITS, unit),
        (base_q + q[0] << BITS) // (unit * PERMILLE),
        ceil_div(base_q + q[1] << BITS, unit * PERMILLE),
    )


def _scaled(total: int, factor_permille: int, slack: int) -> tuple[int, int]:
    product = total * factor_permille
    return product // PERMILLE - slack, ceil_div(product, PERMILLE) + slack
