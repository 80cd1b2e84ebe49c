"""How a cell turns what it expects into orders. Pure and seeded: the same seed gives the same orders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256

MIN_ORDER_mWh = 1_000  # below one watt hour a cell does not bother
LARGE_mWh, PARTS = 50_000_000, 4  # from 50 kWh on a plant sells in parts
PATIENT_PERMILLE, URGENT_PERMILLE = (
    250,
    950,
)  # of the band: what a shiftable load pays with all its time left, with none
CHARGE_PERMILLE, DISCHARGE_PERMILLE = 350, 450  # what a storage pays and asks
DEAR_PERMILLE, CHEAP_PERMILLE = 600, 300  # at such a last price it turns to selling, to buying


class Kind(IntEnum):
    """What an order means physically; numbers are those of `bsmg.market.v1.OrderKind`."""

    FLEXIBLE = 0  # drawn or fed in as far as the chain schedules it
    FIRM = 1  # drawn or fed in whether it trades or not
    CRITICAL = 2  # a firm bid at the cap, served first


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Price limits of the slot, e4."""

    floor_e4: int
    cap_e4: int

    @property
    def width_e4(self) -> int:
        """Distance of cap and floor."""
        return self.cap_e4 - self.floor_e4

    def at(self, permille: int) -> int:
        """The price at a share of the band."""
        return self.floor_e4 + self.width_e4 * permille // 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An order that a cell wants to place."""

    is_bid: bool
    price_e4: int
    quantity_mWh: int
    kind: Kind = Kind.FLEXIBLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a cell knows when a slot takes orders: the band, the price cleared last (None: none yet), its mood."""

    band: Band
    last_e4: int | None
    mood_permille: int


def share_permille(seed: int, cell: str, slot: int) -> int:
    """A number in 0..999 that depends on nothing else: the cell's mood in this slot."""
    digest = sha256(f"{seed}/{cell}/{slot}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 1_000


def wish(band: Band, net_mWh: int, limit_mWh: int, mood_permille: int) -> Wish | None:
    """The order for a forecast, or None when there is next to nothing to trade.

    Who needs energy would pay up to the cap rather than the imbalance price, so bids lie in the upper six tenths of the
    band; a plant's own cost is near zero, so asks lie in the lower six tenths.
    """
    quantity = min(abs(net_mWh), limit_mWh)
    if quantity < MIN_ORDER_mWh:
        return None
    step = band.width_e4 * 6 * mood_permille // 10_000
    if net_mWh > 0:
        return Wish(is_bid=True, price_e4=band.cap_e4 - step, quantity_mWh=quantity, kind=Kind.FIRM)
    return Wish(is_bid=False, price_e4=band.floor_e4 + step, quantity_mWh=quantity)


def parted(order: Wish, band: Band) -> tuple[Wish, ...]:
    """A large ask in equal parts that rise to its price: a plant sells its first energy cheaper than its last."""
    if order.is_bid or order.quantity_mWh < LARGE_mWh:
        return (order,)
    part, step = order.quantity_mWh // PARTS, (order.price_e4 - band.floor_e4) // PARTS
    parts = [replace(order, price_e4=order.price_e4 - (PARTS - n) * step, quantity_mWh=part) for n in range(1, PARTS)]
    return (*parts, replace(order, quantity_mWh=order.quantity_mWh - part * (PARTS - 1)))


def with_critical(order: Wish, band: Band, critical_permille: int) -> tuple[Wish, ...]:
    """A firm bid in two: the critical part at the cap, the rest as it was; what is too small to be parted is not."""
    part = order.quantity_mWh * critical_permille // 1_000
    if not order.is_bid or part < MIN_ORDER_mWh or order.quantity_mWh - part < MIN_ORDER_mWh:
        return (order,)
    first = replace(order, price_e4=band.cap_e4, quantity_mWh=part, kind=Kind.CRITICAL)
    return first, replace(order, quantity_mWh=order.quantity_mWh - part)


def shiftable_bid(band: Band, energy_mWh: int, urgency_permille: int) -> Wish:
    """What a load that may wait pays: the less time it has left, the more."""
    share = PATIENT_PERMILLE + (URGENT_PERMILLE - PATIENT_PERMILLE) * urgency_permille // 1_000
    return Wish(is_bid=True, price_e4=band.at(share), quantity_mWh=energy_mWh)


def turned(selling: bool, outlook: Outlook) -> bool:  # noqa: FBT001  (a state)
    """Whether a storage sells now; it turns where the last price is dear or cheap: its own asks make prices fall."""
    if outlook.last_e4 is None:
        return selling
    edge = CHEAP_PERMILLE if selling else DEAR_PERMILLE
    return outlook.last_e4 > outlook.band.at(edge)


def storage_order(band: Band, energy_mWh: int, *, selling: bool) -> Wish | None:
    """Its order; what is asked and not sold goes to the main grid at the floor, so it asks in dear times only."""
    if energy_mWh < MIN_ORDER_mWh:
        return None
    price_e4 = band.at(DISCHARGE_PERMILLE if selling else CHARGE_PERMILLE)
    return Wish(is_bid=not selling, price_e4=price_e4, quantity_mWh=energy_mWh)
