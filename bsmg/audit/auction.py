"""The audit's own auction, written from the slot protocol's section 2.2: sort, accumulate, cut.

Volume: the largest V such that the bid that covers the V-th unit is at least the ask that covers it. V lies where a
running sum of either side steps, so that only those points are looked at. Fills follow from V and the running sums.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

BID, ASK = 1, 2
UNIFORM_K, TRADE_REDUCTION, PAY_AS_BID = 1, 2, 3
PERMILLE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of the book."""

    side: int
    price_e4: int
    seq: int
    cell: int
    quantity_mWh: int
    kind: int = 0

    @property
    def firm(self) -> bool:
        """Whether it is drawn or fed in whole, traded or not (kinds FIRM and CRITICAL)."""
        return self.kind != 0

    def cut_to(self, quantity_mWh: int) -> Order:
        """The same order with less energy."""
        return replace(self, quantity_mWh=quantity_mWh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a slot's auction follows."""

    mechanism: int
    k_num: int
    k_den: int
    floor_e4: int
    cap_e4: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result; `fills` before the factor, by sequence; prices that buyers pay and sellers get (0: their own)."""

    price_e4: int
    volume_mWh: int
    welfare: int
    fills: dict[int, int]
    buyers_e4: int
    sellers_e4: int
    own_prices: bool = False
    amounts: dict[int, int] | None = None  # by sequence, where there is no price a unit
    subsidy: int = 0
    grid_fees: dict[int, int] | None = None  # by sequence of a bid, in its amount

    def fee_of(self, order: Order, fill_mWh: int) -> int:
        """The grid fee in what a buyer pays for what a factor leaves of its fill, rounded down."""
        if self.grid_fees is None or not fill_mWh:
            return 0
        return self.grid_fees.get(order.seq, 0) * fill_mWh // self.fills[order.seq]

    def amount_of(self, order: Order, fill_mWh: int) -> int:
        """What an order pays or gets for what a factor leaves of its fill, rounded against it."""
        if self.amounts is None or not fill_mWh:
            return self.price_of(order) * fill_mWh
        share, whole = self.amounts[order.seq] * fill_mWh, self.fills[order.seq]
        return -(-share // whole) if order.side == BID else share // whole

    def price_of(self, order: Order) -> int:
        """What this order pays or gets a unit."""
        if self.own_prices:
            return order.price_e4
        return self.buyers_e4 if order.side == BID else self.sellers_e4


NO_TRADE = Outcome(price_e4=0, volume_mWh=0, welfare=0, fills={}, buyers_e4=0, sellers_e4=0)


def sorted_side(orders: Sequence[Order], side: int) -> list[Order]:
    """One side, best price first, then by sequence."""
    sign = -1 if side == BID else 1
    return sorted((o for o in orders if o.side == side), key=lambda o: (sign * o.price_e4, o.seq))


def volume_of(bids: Sequence[Order], asks: Sequence[Order]) -> int:
    """The largest volume at which the marginal bid is not below the marginal ask."""
    bid_sums = list(accumulate(o.quantity_mWh for o in bids))
    ask_sums = list(accumulate(o.quantity_mWh for o in asks))
    if not bid_sums or not ask_sums:
        return 0
    top = min(bid_sums[-1], ask_sums[-1])
    best = 0
    for volume in sorted({v for v in (*bid_sums, *ask_sums) if v <= top}):
        bid, ask = bids[bisect_left(bid_sums, volume)], asks[bisect_left(ask_sums, volume)]
        if bid.price_e4 < ask.price_e4:
            break
        best = volume
    return best


def fills_of(orders: Sequence[Order], volume_mWh: int) -> list[int]:
    """Best first until the volume is served."""
    before = [0, *accumulate(o.quantity_mWh for o in orders)]
    return [max(0, min(o.quantity_mWh, volume_mWh - start)) for o, start in zip(orders, before, strict=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    bids: list[Order]
    asks: list[Order]
    bid_fills: list[int]
    ask_fills: list[int]

    def traded(self, side: int) -> list[Order]:
        """Orders that trade, best first."""
        pairs = zip(*((self.bids, self.bid_fills) if side == BID else (self.asks, self.ask_fills)), strict=True)
        return [order for order, fill in pairs if fill]

    def first_open(self, side: int) -> tuple[Order | None, int]:
        """The first order that is not filled, and what it got."""
        pairs = zip(*((self.bids, self.bid_fills) if side == BID else (self.asks, self.ask_fills)), strict=True)
        return next(((order, fill) for order, fill in pairs if fill < order.quantity_mWh), (None, 0))


def run(orders: Sequence[Order], rules: Rules) -> Outcome:
    """Clear a book."""
    bids, asks = sorted_side(orders, BID), sorted_side(orders, ASK)
    volume = volume_of(bids, asks)
    book = _Book(bids=bids, asks=asks, bid_fills=fills_of(bids, volume), ask_fills=fills_of(asks, volume))
    price = _price(book, rules)
    if rules.mechanism == TRADE_REDUCTION and volume:
        return _reduced(book, price)
    own = rules.mechanism == PAY_AS_BID
    return _outcome(book, (price, price, price), own_prices=own)


def _price(book: _Book, rules: Rules) -> int:
    lower, upper = [rules.floor_e4], [rules.cap_e4]
    lower += [order.price_e4 for order in book.traded(ASK)[-1:]]
    upper += [order.price_e4 for order in book.traded(BID)[-1:]]
    bid, ask = book.first_open(BID)[0], book.first_open(ASK)[0]
    lower += [bid.price_e4] if bid else []
    upper += [ask.price_e4] if ask else []
    least, most = max(lower), min(upper)
    return least + rules.k_num * (most - least) // rules.k_den


def _outcome(book: _Book, prices: tuple[int, int, int], *, own_prices: bool = False) -> Outcome:
    price, buyers, sellers = prices
    pairs = [*zip(book.bids, book.bid_fills, strict=True), *zip(book.asks, book.ask_fills, strict=True)]
    sign = {BID: 1, ASK: -1}
    return Outcome(
        price_e4=price,
        volume_mWh=sum(book.bid_fills),
        welfare=sum(sign[order.side] * order.price_e4 * fill for order, fill in pairs),
        fills={order.seq: fill for order, fill in pairs if fill},
        buyers_e4=buyers,
        sellers_e4=sellers,
        own_prices=own_prices,
    )


def _reduced(book: _Book, price: int) -> Outcome:
    """McAfee: all at the middle of the first orders that don't trade, if that suits; else without the marginal ones."""
    last_bid, last_ask = book.traded(BID)[-1], book.traded(ASK)[-1]
    (bid, bid_part), (ask, ask_part) = book.first_open(BID), book.first_open(ASK)
    if bid and ask and not bid_part and not ask_part:
        middle = (bid.price_e4 + ask.price_e4) // 2
        if last_ask.price_e4 <= middle <= last_bid.price_e4:
            return _outcome(book, (middle, middle, middle))
    cuts = len(book.traded(BID)) - 1, len(book.traded(ASK)) - 1
    volume = min(sum(book.bid_fills[: cuts[0]]), sum(book.ask_fills[: cuts[1]]))
    rest = _Book(
        bids=book.bids, asks=book.asks, bid_fills=fills_of(book.bids, volume), ask_fills=fills_of(book.asks, volume)
    )
    shown = min(max(price, last_ask.price_e4), last_bid.price_e4)
    return _outcome(rest, (shown, last_bid.price_e4, last_ask.price_e4))
