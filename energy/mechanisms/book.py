"""What every mechanism takes and gives.

    Book + Terms -> Outcome

A limit price is all-in: a buyer's price is the most that it pays a unit with grid fees, a seller's the least that it
gets a unit after them. Energy is mWh, a price 1e-4 token per kWh, money base units: amount = price_e4 * energy_mWh.
Orders are served by price, then by sequence; nothing else breaks a tie, unless a mechanism's docstring says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from energy.mechanisms.fees import NO_FEES, FeeTable

BID, ASK = 1, 2
NOTHING: Mapping[int, int] = MappingProxyType({})


class Order(NamedTuple):
    """An order as the book has it."""

    side: int
    price_e4: int
    seq: int
    cell: int
    bus: int
    quantity_mWh: int
    kind: int = 0  # OrderKind; no mechanism looks at it


class Award(NamedTuple):
    """What an order got; `amount` base units are paid by a buyer, received by a seller.

    `fee` is the part of a buyer's amount that goes to the grid: a trade's whole grid fee stands with its buyer.
    """

    order: Order
    fill_mWh: int
    amount: int
    fee: int = 0


class Pair(NamedTuple):
    """Energy that goes from one order to another."""

    ask: Order
    bid: Order
    energy_mWh: int


def merit(order: Order) -> tuple[int, int]:
    """Clearing order of a side: best price first, then by sequence."""
    return (-order.price_e4 if order.side == BID else order.price_e4, order.seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Both sides in clearing order."""

    bids: Sequence[Order]
    asks: Sequence[Order]

    @classmethod
    def of(cls, orders: Iterable[Order]) -> Book:
        """Sort orders into a book."""
        ranked = sorted(orders, key=merit)
        return cls(bids=[o for o in ranked if o.side == BID], asks=[o for o in ranked if o.side == ASK])

    def without(self, cell: int) -> Book:
        """The book if a cell had stayed away."""
        return Book(bids=[o for o in self.bids if o.cell != cell], asks=[o for o in self.asks if o.cell != cell])

    def __len__(self) -> int:
        return len(self.bids) + len(self.asks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a clearing follows.

    Bids lie at or below `cap_e4`, asks at or above `floor_e4`; k in [0, 1] splits what prices leave open. `tariff_e4`
    is the preset tariff; `scores` (by cell) and `thresholds` (by sequence of a bid) are permille, for the greedy
    match; `seed` decides MUDA's halves.
    """

    floor_e4: int
    cap_e4: int
    k_num: int = 1
    k_den: int = 2
    tariff_e4: int = 0
    fees: FeeTable = NO_FEES
    scores: Mapping[int, int] = field(default_factory=lambda: NOTHING)
    thresholds: Mapping[int, int] = field(default_factory=lambda: NOTHING)
    seed: bytes = b""

    def split(self, lower: int, upper: int) -> int:
        """The price between two bounds: lower + floor(k * (upper - lower))."""
        return lower + self.k_num * (upper - lower) // self.k_den


class AreaPrices(NamedTuple):
    """Prices by fee area: what a unit costs a buyer there with fees, what a seller there gets."""

    buy_e4: tuple[int, ...]
    sell_e4: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Awards of both sides in book order, each above 0 mWh, and what they add up to.

    `price_e4` is what sellers get a unit on average, rounded down, at most the cap (the one price where there is one);
    without trade the middle of the best bid and ask. `flows` has the energy from area to area, `prices` the area prices
    of the uniform mechanisms: together they are their certificate.
    """

    bids: tuple[Award, ...]
    asks: tuple[Award, ...]
    price_e4: int
    prices: AreaPrices | None = None
    flows: tuple[tuple[int, ...], ...] = ()

    @property
    def volume_mWh(self) -> int:
        """Energy that changes hands."""
        return sum(award.fill_mWh for award in self.bids)

    @property
    def paid(self) -> int:
        """By all buyers, grid fees included."""
        return sum(award.amount for award in self.bids)

    @property
    def earned(self) -> int:
        """By all sellers."""
        return sum(award.amount for award in self.asks)

    @property
    def fees(self) -> int:
        """Grid fees."""
        return sum(award.fee for award in self.bids)

    @property
    def surplus(self) -> int:
        """What is left to the market's operator; negative: the subsidy that this outcome needs."""
        return self.paid - self.earned - self.fees

    @property
    def welfare(self) -> int:
        """Value of the trades by the orders' prices, after grid fees."""
        return self.gross - self.fees

    @property
    def gross(self) -> int:
        """Sum of bids' prices times fills, minus asks'."""
        return worth(self.bids) - worth(self.asks)


def worth(awards: Iterable[Award]) -> int:
    """Value of what orders got at their own prices, base units."""
    return sum(award.order.price_e4 * award.fill_mWh for award in awards)


def average_price(book: Book, terms: Terms, earned: int, volume_mWh: int) -> int:
    """`price_e4` of an outcome; where asks get what bids of their cell gained (VCG), the average may pass the cap."""
    if volume_mWh:
        return min(earned // volume_mWh, terms.cap_e4)
    bid = max([terms.floor_e4, *(order.price_e4 for order in book.bids[:1])])
    ask = min([terms.cap_e4, *(order.price_e4 for order in book.asks[:1])])
    return terms.split(min(bid, ask), max(bid, ask))
