"""What a cell can steer, slot by slot: loads that wait, a storage, inverters. It wants orders, then runs as scheduled.

The chain's schedule of a slot comes after the orders of later slots are due, so whatever is ordered and not scheduled
yet is counted as if it might be served in full: nothing is promised twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from utility_cell.bidding import (
    Kind,
    MIN_ORDER_mWh,
    Outlook,
    Wish,
    parted,
    shiftable_bid,
    storage_order,
    turned,
    wish,
    with_critical,
)
from utility_cell.fleet import CellSpec
from utility_cell.profiles import Profiles
from utility_cell.world import MWH_PER_W_QUARTER, net_mWh

HOURS = 0.25
MWH_PER_WH = 1_000
STORED_AT_START = 0.5  # of the capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The energy that a cell's orders let it draw and feed in: what the chain's schedule says of it."""

    import_mWh: int = 0
    export_mWh: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """Energy that has to be drawn by the end of a slot."""

    slot: int
    energy_mWh: int


@dataclass(slots=True, kw_only=True)
class Queue:
    """Loads that wait: their energy by deadline, and what of it is in orders that are not scheduled yet."""

    waiting: list[Due] = field(default_factory=list)
    ordered: dict[int, list[Due]] = field(default_factory=dict)

    def arrive(self, slot: int, energy_mWh: int) -> None:
        """More energy is wanted by the end of a slot."""
        if energy_mWh > 0:
            self.waiting.append(Due(slot, energy_mWh))

    def overdue(self, slot: int) -> int:
        """Take out what can't wait beyond a slot, mWh."""
        late = sum(due.energy_mWh for due in self.waiting if due.slot <= slot)
        self.waiting = [due for due in self.waiting if due.slot > slot]
        return late

    def take(self, slot: int, limit_mWh: int) -> list[Due]:
        """Put into an order of a slot what fits, earliest deadline first."""
        taken, kept = _split(sorted(self.waiting, key=lambda due: due.slot), limit_mWh)
        self.waiting, self.ordered[slot] = kept, taken
        return taken

    def served(self, slot: int, energy_mWh: int) -> None:
        """What an order of a slot got; the rest waits again."""
        _, rest = _split(self.ordered.pop(slot, []), energy_mWh)
        self.waiting += rest


def _split(dues: list[Due], limit_mWh: int) -> tuple[list[Due], list[Due]]:
    inside, beyond, left = [], [], limit_mWh
    for due in dues:
        part = min(left, due.energy_mWh)
        left -= part
        inside += [Due(due.slot, part)] if part else []
        beyond += [Due(due.slot, due.energy_mWh - part)] if part < due.energy_mWh else []
    return inside, beyond


@dataclass(slots=True, kw_only=True)
class Tank:
    """A storage's state of charge, with what open orders may add to it and take from it, Wh by slot."""

    energy_Wh: float
    selling: bool = False
    adding: dict[int, float] = field(default_factory=dict)
    taking: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Devices:
    """The devices of one cell. Slots are planned once each, in ascending order."""

    spec: CellSpec
    profiles: Profiles
    queue: Queue = field(default_factory=Queue)
    tank: Tank = field(init=False)
    firm: dict[int, int] = field(default_factory=dict)  # energy of firm bids by slot
    late: dict[int, int] = field(default_factory=dict)  # the part of it that has waited long enough
    steered: dict[int, int] = field(default_factory=dict)  # drawn (fed in: negative) by schedule
    export: dict[int, int] = field(default_factory=dict)  # what inverters may feed in

    def __post_init__(self) -> None:
        """A storage begins half full."""
        self.tank = Tank(energy_Wh=self.spec.storage.capacity_Wh * STORED_AT_START if self.spec.storage else 0.0)

    def plan(self, slot: int, quarter: int, net_mWh: int, outlook: Outlook) -> tuple[Wish, ...]:
        """The orders of a slot, given the forecast of what can't be steered."""
        self.queue.arrive(slot + self.spec.patience, self._shiftable_mWh(quarter))
        late = self.late[slot] = self.queue.overdue(slot)
        wishes = [*self._plain(net_mWh + late, outlook), *self._waiting(slot, late, outlook)]
        self.firm[slot] = sum(w.quantity_mWh for w in wishes if w.is_bid and w.kind != Kind.FLEXIBLE)
        return (*wishes, *self._storage(slot, outlook))

    def _shiftable_mWh(self, quarter: int) -> int:
        return (
            sum(self.profiles.power_W(a.profile, a.rated_W, quarter) for a in self.spec.shiftable) * MWH_PER_W_QUARTER
        )

    def _plain(self, net_mWh: int, outlook: Outlook) -> Iterator[Wish]:
        rating_W = self.spec.max_import_W if net_mWh > 0 else self.spec.max_export_W
        made = wish(outlook.band, net_mWh, rating_W * MWH_PER_W_QUARTER, outlook.mood_permille)
        if made is None:
            return
        if made.is_bid:
            yield from with_critical(made, outlook.band, self.spec.critical_permille)
        else:
            kind = Kind.FLEXIBLE if self.spec.controlled else Kind.FIRM
            yield from parted(replace(made, kind=kind), outlook.band)

    def _waiting(self, slot: int, late_mWh: int, outlook: Outlook) -> Iterator[Wish]:
        taken = self.queue.take(slot, max(0, self.spec.shiftable_W * MWH_PER_W_QUARTER - late_mWh))
        energy = sum(due.energy_mWh for due in taken)
        if energy < MIN_ORDER_mWh:
            self.queue.served(slot, 0)
            return
        left = sum((due.slot - slot) * due.energy_mWh for due in taken) // energy
        yield shiftable_bid(outlook.band, energy, max(0, 1_000 - 1_000 * left // self.spec.patience))

    def _storage(self, slot: int, outlook: Outlook) -> Iterator[Wish]:
        storage, tank = self.spec.storage, self.tank
        if storage is None:
            return
        discharge_W, _ = storage.limits_W(tank.energy_Wh - sum(tank.taking.values()), HOURS)
        _, charge_W = storage.limits_W(tank.energy_Wh + sum(tank.adding.values()), HOURS)
        charge, discharge = (int(power_W * MWH_PER_W_QUARTER) for power_W in (charge_W, discharge_W))
        tank.selling = turned(tank.selling, outlook) and discharge >= MIN_ORDER_mWh
        made = storage_order(outlook.band, discharge if tank.selling else charge, selling=tank.selling)
        if made is None:
            return
        energy_Wh = made.quantity_mWh / MWH_PER_WH
        if made.is_bid:
            tank.adding[slot] = energy_Wh * storage.charge_efficiency
        else:
            tank.taking[slot] = energy_Wh / storage.discharge_efficiency
        yield made

    def schedule(self, slot: int, allowed: Allowed) -> None:
        """What the chain made of a slot's orders: waiting loads and storage follow it. The first word counts."""
        if slot in self.export:
            return
        self.export[slot] = allowed.export_mWh
        if slot not in self.firm:
            return  # ordered by an earlier run, of which nothing is known here
        drawn = max(0, allowed.import_mWh - self.firm[slot])
        self.queue.served(slot, drawn)
        storage, tank = self.spec.storage, self.tank
        if storage is None:
            self.steered[slot] = drawn
            return
        self.steered[slot] = drawn - allowed.export_mWh
        tank.adding.pop(slot, None)
        tank.taking.pop(slot, None)
        power_W = self.steered[slot] / MWH_PER_W_QUARTER
        tank.energy_Wh, _ = storage.step(tank.energy_Wh, power_W, HOURS)

    def net_mWh(self, slot: int, quarter: int) -> int:
        """What the meter counts: drawn, or negative fed in. Inverters feed in no more than their schedule lets out."""
        plain = net_mWh(self.profiles, self.spec, quarter) + self.late.get(slot, 0)
        if self.spec.sources and self.spec.controlled and slot in self.export:
            plain = max(plain, -self.export[slot])
        return plain + self.steered.get(slot, 0)
