"""A day of one microgrid on its feeder: what was seen of each slot, and what the report says of it.

Energy in mWh, prices in 1e-4 token per kWh, voltages and loadings in p.u. of nominal voltage and of the rating. Rows by
bus follow `FeederDay.buses`, rows by branch `FeederDay.branches`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any as Json

from cosmos_wire.protos import market
from cosmos_wire.protos import registry as registry_pb
from energy.units import PERMILLE

PLACES_V, PLACES_LOAD = 6, 5  # digits that are kept
FULL = 0.995  # of a rating: at its limit
NEAR_V = 5e-4  # p.u. from a limit: at it


@dataclass(frozen=True, slots=True, kw_only=True)
class BusPower:
    """What a bus withdraws in a slot as it is scheduled."""

    bus: int
    p_mWh: int
    q_mvarh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSeen:
    """One slot as the chain's queries and events told it."""

    record: market.Slot
    orders: tuple[market.Order, ...]
    buses: tuple[BusPower, ...]  # the final schedule
    before: tuple[BusPower, ...]  # fixed before the auction: what places no orders, forward positions
    beside: tuple[BusPower, ...]  # the same at the end, with set-points of inverters that came with caps
    lmps_e4: Mapping[int, int] = field(default_factory=dict)  # by bus; empty: none were published
    refused: str = ""  # what the network check said of the clearing, empty: it held
    caps_codes: tuple[int, ...] = ()  # verdicts on proposals of caps, 0 accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederSeen:
    """A microgrid's feeder and its slots, ascending; `tan_phi` of cells by address, `params` of the market."""

    feeder: registry_pb.Feeder
    params: market.Params
    tan_phi: Mapping[str, int]
    slots: tuple[SlotSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An AC power flow of a schedule; without a solution the rows are empty and the violation says so."""

    v: tuple[float, ...]
    loading: tuple[float, ...]
    loss_mWh: int
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederSlot:
    """One slot on the feeder: the sealed schedule with its flow, and the flow of the clearing without a check."""

    slot: int
    quarter: int
    price_e4: int
    volume_mWh: int  # as scheduled, the factor applied
    free_price_e4: int
    free_volume_mWh: int
    bids: tuple[tuple[int, int], ...]  # price, energy: best price first
    asks: tuple[tuple[int, int], ...]
    factor_permille: int
    export_permille: int
    voided: bool
    refused: str
    caps_codes: tuple[int, ...]
    capped: bool
    set_points: bool  # of inverters, adopted with the caps
    p_mWh: tuple[int, ...]
    q_mvarh: tuple[int, ...]
    sealed: State
    free: State  # the clearing alone
    open_violations: tuple[str, ...]  # of the clearing with all that was offered fed in
    grid_import_mWh: int
    grid_export_mWh: int
    curtailed_mWh: int
    asked_mWh: int
    loss_mWh: int  # as the chain metered and settled it
    welfare: int  # base units
    best_welfare: int | None  # of the optimal power flow, where it was asked
    lmps_e4: tuple[int, ...]
    lmps_of_chain: bool  # published and checked; else worked out here

    @property
    def repaired(self) -> bool:
        """Whether the clearing would have broken a limit and the schedule breaks none."""
        return bool(self.free.violations) and not self.sealed.violations

    @property
    def repair(self) -> str:
        """What brought the schedule within its limits."""
        if self.voided:
            return "voided"
        parts = ["caps"] if self.capped else []
        parts += ["set-points"] if self.set_points else []
        parts += [f"factor {self.factor_permille} ‰"] if self.factor_permille < PERMILLE else []
        return ", ".join(parts) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederDay:
    """The feeder and its day."""

    root: int
    buses: tuple[int, ...]
    branches: tuple[tuple[int, int], ...]
    ratings_W: tuple[int, ...]
    v_min: float
    v_max: float
    feeder: dict[str, Json]  # as the registry has it, so that anybody can solve it again
    slots: tuple[FeederSlot, ...]

    @property
    def violations(self) -> int:
        """Limits that sealed schedules break."""
        return sum(len(row.sealed.violations) for row in self.slots)

    @property
    def broken_free(self) -> tuple[FeederSlot, ...]:
        """Slots in which the clearing without a check would break a limit."""
        return tuple(row for row in self.slots if row.free.violations)

    def at_limit(self, v: float) -> bool:
        """Whether a voltage lies at a limit, or beyond it."""
        return not self.v_min + NEAR_V < v < self.v_max - NEAR_V

    def full_branches(self, state: State) -> set[tuple[int, int]]:
        """Branches that carry their rating, both ways of naming them."""
        full = {edge for edge, load in zip(self.branches, state.loading, strict=False) if load >= FULL}
        return full | {(there, here) for here, there in full}

    @property
    def export_limited(self) -> tuple[FeederSlot, ...]:
        """Slots in which not all that was left over could be let out."""
        return tuple(row for row in self.slots if row.curtailed_mWh)

    @property
    def curtailed_mWh(self) -> int:
        """Asked, neither sold nor let out."""
        return sum(row.curtailed_mWh for row in self.slots)

    @property
    def welfare_permille(self) -> int | None:
        """Of the optimal power flows' welfare, in the slots where one was asked for."""
        return share_of_best([self])


def share_of_best(feeders: Iterable[FeederDay]) -> int | None:
    """Welfare over that of optimal power flows, permille; None where no slot was constrained."""
    rows = [
        (row.welfare, row.best_welfare) for feeder in feeders for row in feeder.slots if row.best_welfare is not None
    ]
    best = sum(found for _, found in rows)
    return sum(welfare for welfare, _ in rows) * PERMILLE // best if best > 0 else None
