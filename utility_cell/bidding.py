"""How a cell turns what it expects into orders. Pure and seeded: the same seed gives the same orders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256

MIN_ORDER_mWh = 1_000  # below one watt hour a cell does not bother
PATIENT_PERMILLE, URGENT_PERMILLE = 250, 950  # of the band: what a shiftable load pays with all its time left, with none
CHARGE_PERMILLE, DISCHARGE_PERMILLE, DEAR_PERMILLE = 350, 450, 600


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


def with_critical(order: Wish, band: Band, critical_permille: int) -> tuple[Wish, ...]:
    """A firm bid in two: the critical part at the cap, the rest as it was; parts too small to bother stay together."""
    part = order.quantity_mWh * critical_permille // 1_000
    if not order.is_bid or part < MIN_ORDER_mWh:
        return (order,)
    first = replace(order, price_e4=band.cap_e4, quantity_mWh=part, kind=Kind.CRITICAL)
    rest = order.quantity_mWh - part
    return (first, replace(order, quantity_mWh=rest)) if rest >= MIN_ORDER_mWh else (replace(first, quantity_mWh=order.quantity_mWh),)


def shiftable_bid(band: Band, energy_mWh: int, urgency_permille: int) -> Wish:
    """What a load that may wait pays: the less time it has left, the more."""
    share = PATIENT_PERMILLE + (URGENT_PERMILLE - PATIENT_PERMILLE) * urgency_permille // 1_000
    return Wish(is_bid=True, price_e4=band.at(share), quantity_mWh=energy_mWh)


def storage_orders(outlook: Outlook, charge_mWh: int, discharge_mWh: int) -> tuple[Wish, ...]:
    """Buy when it is cheap; sell when the last price was high, for what is not sold goes to the main grid at the floor."""
    band, found = outlook.band, []
    if charge_mWh >= MIN_ORDER_mWh:
        found.append(Wish(is_bid=True, price_e4=band.at(CHARGE_PERMILLE), quantity_mWh=charge_mWh))
    dear = outlook.last_e4 is not None and outlook.last_e4 >= band.at(DEAR_PERMILLE)
    if dear and discharge_mWh >= MIN_ORDER_mWh:
        found = [Wish(is_bid=False, price_e4=band.at(DISCHARGE_PERMILLE), quantity_mWh=discharge_mWh)]
    return tuple(found)
