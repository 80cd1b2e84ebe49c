"""The welfare problem of a slot on a radial feeder, and what a schedule of it costs. C3 bounds its optimum.

    minimise   sum price * asks - sum price * bids + import_e4 * drawn at the root - export_e4 * fed back at the root
    over       fills of the blocks, with the feeder's AC power flow inside its limits

With import_e4 >= export_e4 >= 0 the cost of the root's flow is convex and grows with it. The feed-in tariff is
export_e4: what is worth less to the neighbours goes there, so no marginal price falls below it. `local`: bids and asks
balance among themselves, and the root carries the baseline and the losses only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from energy.errors import NotCertified
from energy.grid.fixed import BITS, ceil_shift
from energy.grid.network import Network
from energy.grid.schedule import BusEnergy
from energy.units import MWH_PER_W

BID, ASK, REACTIVE = 1, -1, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A step of a bus's supply or demand; fills lie between 0 and the quantity.

    `direction` is +1 for what is withdrawn (bids), -1 for what is injected (asks), 0 for an inverter's reactive power,
    which costs nothing. A unit of fill withdraws `reactive_permille` / 1000 of reactive power (negative: injects).
    """

    bus: int
    direction: int
    price_e4: int
    quantity_mWh: int
    reactive_permille: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A slot: baselines, blocks, and the prices of the main grid."""

    net: Network
    base: tuple[BusEnergy, ...]
    blocks: tuple[Block, ...]
    import_e4: int
    export_e4: int
    local: bool = False

    def __post_init__(self) -> None:
        """The cost of the root's flow has to be convex and has to grow."""
        if not 0 <= self.export_e4 <= self.import_e4:
            raise NotCertified(f"0 <= export price <= import price is expected, got {self.export_e4}, {self.import_e4}")


def energies_of(problem: Problem, fills: Sequence[int]) -> list[BusEnergy]:
    """The energies at the buses under fills in mWh; raises NotCertified when a fill or the balance is wrong."""
    check_fills(problem, fills)
    energies = list(problem.base)
    for block, fill in zip(problem.blocks, fills, strict=True):
        energies.append(
            BusEnergy(
                bus=block.bus, trade_p_mWh=block.direction * fill, trade_q_permille=block.reactive_permille * fill
            )
        )
    return energies


def check_fills(problem: Problem, fills: Sequence[int]) -> None:
    """Every fill within its block; in a local market bought = sold."""
    if len(fills) != len(problem.blocks):
        raise NotCertified(f"{len(problem.blocks)} fills are expected, got {len(fills)}")
    for at, (block, fill) in enumerate(zip(problem.blocks, fills, strict=True)):
        if not 0 <= fill <= block.quantity_mWh:
            raise NotCertified(f"fill {at} has to be 0..{block.quantity_mWh}, got {fill}")
    net_mWh = sum(block.direction * fill for block, fill in zip(problem.blocks, fills, strict=True))
    if problem.local and net_mWh:
        raise NotCertified(f"bids and asks of a local market have to balance, got a rest of {net_mWh} mWh")


def cost_of(problem: Problem, fills: Sequence[int], root_high_q30: int) -> int:
    """Base units that a schedule costs at most, when the feeder draws at most `root_high_q30` (2^-30 p.u.)."""
    trades = -sum(block.direction * block.price_e4 * fill for block, fill in zip(problem.blocks, fills, strict=True))
    price_e4 = problem.import_e4 if root_high_q30 > 0 else problem.export_e4
    return trades + ceil_shift(price_e4 * root_high_q30 * MWH_PER_W * problem.net.s_base_W, BITS)
