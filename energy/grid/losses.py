"""Losses of a radial feeder: r times the squared current of every branch, by the integer sweep."""

from __future__ import annotations

from collections.abc import Iterable

from energy.grid.contingency import lit
from energy.grid.feasible import Refusal
from energy.grid.fixed import BITS
from energy.grid.network import Network
from energy.grid.schedule import BusEnergy, injection_of
from energy.grid.secure import sweep
from energy.units import MWH_PER_W


def loss_mWh(net: Network, energies: Iterable[BusEnergy]) -> int:
    """Losses of a slot, rounded down; 0 where the sweep collapses. Buses that the feeder lacks count for nothing."""
    currents = sweep(net, injection_of(net, lit(net, energies)))
    if isinstance(currents, Refusal):
        return 0
    total = sum(r * current for r, current in zip(net.r, currents, strict=True))
    return total * MWH_PER_W * net.s_base_W >> 2 * BITS
