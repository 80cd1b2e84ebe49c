"""One order of merit, for mechanisms that need it: prices net of each end's share of the fee envelope, merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from energy.mechanisms.book import ASK, BID, Award, Book, Order, Outcome, Pair, Terms, average_price
from energy.mechanisms.fees import FeeTable


class Net(NamedTuple):
    """An order and its price at the point where all areas meet."""

    order: Order
    net_e4: int


class Fill(NamedTuple):
    """How much of an order trades, at least 1 mWh."""

    net: Net
    fill_mWh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Outcome of the merge: fills in order of merit, and the first order of each side that isn't filled."""

    bids: list[Fill]
    asks: list[Fill]
    open_bid: Net | None
    open_ask: Net | None

    @property
    def whole(self) -> bool:
        """Whether no order trades in part."""
        return all(
            side == [] or side[-1].fill_mWh == side[-1].net.order.quantity_mWh for side in (self.bids, self.asks)
        )


def net_sides(book: Book, table: FeeTable) -> tuple[list[Net], list[Net]]:
    """Bids and asks by net price, then by sequence."""
    bids = [Net(order, order.price_e4 - table.buy_e4[table.area(order.bus)]) for order in book.bids]
    asks = [Net(order, order.price_e4 + table.sell_e4[table.area(order.bus)]) for order in book.asks]
    if table.areas == 1:  # one shift for all leaves the book's order
        return bids, asks
    bids.sort(key=lambda item: (-item.net_e4, item.order.seq))
    asks.sort(key=lambda item: (item.net_e4, item.order.seq))
    return bids, asks


def merge(bids: Sequence[Net], asks: Sequence[Net]) -> Match:
    """Trade the best bid with the best ask while the bid is not lower."""
    bought, sold = [0] * len(bids), [0] * len(asks)
    i = j = 0
    while i < len(bids) and j < len(asks) and bids[i].net_e4 >= asks[j].net_e4:
        bid_rest, ask_rest = bids[i].order.quantity_mWh - bought[i], asks[j].order.quantity_mWh - sold[j]
        energy = min(bid_rest, ask_rest)
        bought[i] += energy
        sold[j] += energy
        i += energy == bid_rest
        j += energy == ask_rest
    return Match(
        bids=[Fill(net, fill) for net, fill in zip(bids, bought, strict=True) if fill],
        asks=[Fill(net, fill) for net, fill in zip(asks, sold, strict=True) if fill],
        open_bid=bids[i] if i < len(bids) else None,
        open_ask=asks[j] if j < len(asks) else None,
    )


def bounds(match: Match, terms: Terms) -> tuple[int, int]:
    """L and U: the net prices at which no order regrets its fill, inside the band."""
    lower = [terms.floor_e4, *(fill.net.net_e4 for fill in match.asks[-1:])]
    upper = [terms.cap_e4, *(fill.net.net_e4 for fill in match.bids[-1:])]
    lower += [match.open_bid.net_e4] if match.open_bid is not None else []
    upper += [match.open_ask.net_e4] if match.open_ask is not None else []
    return max(lower), min(upper)


def first(fills: Sequence[Fill], volume_mWh: int) -> list[Fill]:
    """The best fills up to a volume."""
    kept: list[Fill] = []
    for item in fills:
        if volume_mWh == 0:
            break
        part = min(item.fill_mWh, volume_mWh)
        kept.append(Fill(item.net, part))
        volume_mWh -= part
    return kept


def volume(fills: Sequence[Fill]) -> int:
    """Energy of fills."""
    return sum(item.fill_mWh for item in fills)


def paired(bids: Sequence[Fill], asks: Sequence[Fill]) -> Iterator[Pair]:
    """Best ask with best bid, for sides of equal volume."""
    sellers = [(item.net.order, item.fill_mWh) for item in reversed(asks)]
    for bid, wanted in ((item.net.order, item.fill_mWh) for item in bids):
        left = wanted
        while left:
            ask, rest = sellers.pop()
            energy = min(left, rest)
            yield Pair(ask, bid, energy)
            left -= energy
            if rest > energy:
                sellers.append((ask, rest - energy))


def at_net_prices(fills: tuple[Sequence[Fill], Sequence[Fill]], net_e4: tuple[int, int], terms: Terms) -> list[Award]:
    """Awards (bids, then asks) at one net price a side; the pairs' fees stand with the buyers."""
    bids, asks = fills
    table = terms.fees
    fees: dict[int, int] = {}
    for pair in paired(bids, asks):
        fees[pair.bid.seq] = fees.get(pair.bid.seq, 0) + table.of(pair.ask.bus, pair.bid.bus) * pair.energy_mWh
    awards = []
    for (order, _), fill in bids:
        price = net_e4[0] + table.buy_e4[table.area(order.bus)]
        awards.append(Award(order, fill, price * fill, fees.get(order.seq, 0)))
    for (order, _), fill in asks:
        awards.append(Award(order, fill, (net_e4[1] - table.sell_e4[table.area(order.bus)]) * fill))
    return awards


def outcome(book: Book, terms: Terms, awards: Sequence[Award]) -> Outcome:
    """Awards in book order, with their average price."""
    bids = sorted((award for award in awards if award.order.side == BID and award.fill_mWh), key=_rank)
    asks = sorted((award for award in awards if award.order.side == ASK and award.fill_mWh), key=_rank)
    energy, earned = sum(award.fill_mWh for award in asks), sum(award.amount for award in asks)
    return Outcome(bids=tuple(bids), asks=tuple(asks), price_e4=average_price(book, terms, earned, energy))


def _rank(award: Award) -> tuple[int, int]:
    order = award.order
    return (-order.price_e4 if order.side == BID else order.price_e4, order.seq)


class Tally:
    """Adds up what orders get out of pairs."""

    def __init__(self) -> None:
        self._sums: dict[int, list[int]] = {}
        self._orders: dict[int, Order] = {}

    def add(self, order: Order, energy_mWh: int, amount: int, fee: int = 0) -> None:
        """One more part of an order."""
        self._orders[order.seq] = order
        sums = self._sums.setdefault(order.seq, [0, 0, 0])
        for at, value in enumerate((energy_mWh, amount, fee)):
            sums[at] += value

    def trade(self, pair: Pair, price_e4: int, fee_e4: int) -> None:
        """A pair at the seller's price; the buyer pays the fee on top."""
        ask, bid, energy = pair
        self.add(bid, energy, (price_e4 + fee_e4) * energy, fee_e4 * energy)
        self.add(ask, energy, price_e4 * energy)

    def awards(self) -> list[Award]:
        """One a traded order."""
        return [Award(self._orders[seq], *sums) for seq, sums in self._sums.items()]


Mechanism = Callable[[Book, Terms], Outcome]
