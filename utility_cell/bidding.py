"""How a cell turns its forecast into an order. Pure and seeded: the same seed gives the same orders."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

MIN_ORDER_mWh = 1_000  # below one watt hour a cell does not bother


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Price limits of the slot, e4."""

    floor_e4: int
    cap_e4: int

    @property
    def width_e4(self) -> int:
        """Distance of cap and floor."""
        return self.cap_e4 - self.floor_e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An order that a cell wants to place."""

    is_bid: bool
    price_e4: int
    quantity_mWh: int


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
        return Wish(is_bid=True, price_e4=band.cap_e4 - step, quantity_mWh=quantity)
    return Wish(is_bid=False, price_e4=band.floor_e4 + step, quantity_mWh=quantity)
