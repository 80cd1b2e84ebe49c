"""Schemes without an auction: the preset tariff, and the sorted greedy match with a reputation threshold.

Greedy (second paper, local step): buyers from the highest price, ties by sequence. Each takes producers whose score
is at least its own threshold, from the cheapest delivered (ask + fee of the pair) up, ties by score, then by
sequence, while that is not above its limit; a pair trades at the producer's price, the fee on top. The paper's cap,
the LMP, is the band's and the buyer's limit here; an unknown score counts as 0.

Preset tariff: whoever accepts the tariff trades at it, first come first served: buyers by sequence, each from the
area with the least fee, there from the first seller; a buyer pays the tariff and the pair's fee. The paper leaves the
ration open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from energy.mechanisms.book import Book, Order, Outcome, Pair, Terms
from energy.mechanisms.merit import Tally, outcome


class _Stock:
    """Sellers in the order in which they are taken."""

    def __init__(self, orders: list[Order]) -> None:
        self.orders, self.at = orders, 0
        self.left = orders[0].quantity_mWh if orders else 0

    def head(self) -> Order | None:
        return self.orders[self.at] if self.at < len(self.orders) else None

    def take(self, energy_mWh: int) -> None:
        self.left -= energy_mWh
        if self.left == 0:
            self.at += 1
            self.left = self.orders[self.at].quantity_mWh if self.at < len(self.orders) else 0


Chooser = Callable[[Order], Iterator[_Stock]]


def _serve(buyers: list[Order], best: Callable[[Order], _Stock | None]) -> Iterator[Pair]:
    """Each buyer takes from its best stock until it has all or nothing suits."""
    for bid in buyers:
        wanted = bid.quantity_mWh
        while wanted and (stock := best(bid)) is not None:
            ask = stock.head()
            assert ask is not None  # `best` gives stocks with a head only
            energy = min(wanted, stock.left)
            yield Pair(ask, bid, energy)
            stock.take(energy)
            wanted -= energy


class _Class(NamedTuple):
    """Sellers of an area who meet the same thresholds."""

    area: int
    rank: int
    stock: _Stock


def greedy(book: Book, terms: Terms) -> Outcome:
    """Match in order of price; the producer's price is the pair's."""
    table, tally = terms.fees, Tally()
    levels = sorted({0, *(terms.thresholds.get(bid.seq, 0) for bid in book.bids)})
    classes = _classes(book, terms, levels)

    def best(bid: Order) -> _Stock | None:
        needed, area = levels.index(terms.thresholds.get(bid.seq, 0)), table.area(bid.bus)
        found = [
            (ask.price_e4 + table.pair_e4[item.area][area], -terms.scores.get(ask.cell, 0), ask.seq, item.stock)
            for item in classes
            if item.rank >= needed and (ask := item.stock.head()) is not None
        ]
        price, _, _, stock = min(found, key=lambda row: row[:3], default=(bid.price_e4 + 1, 0, 0, None))
        return stock if price <= bid.price_e4 else None

    for pair in _serve(list(book.bids), best):
        tally.trade(pair, pair.ask.price_e4, table.of(pair.ask.bus, pair.bid.bus))
    return outcome(book, terms, tally.awards())


def _classes(book: Book, terms: Terms, levels: list[int]) -> list[_Class]:
    groups: dict[tuple[int, int], list[Order]] = {}
    for ask in book.asks:
        score = terms.scores.get(ask.cell, 0)
        rank = sum(level <= score for level in levels) - 1
        groups.setdefault((terms.fees.area(ask.bus), rank), []).append(ask)
    return [
        _Class(area, rank, _Stock(sorted(asks, key=lambda o: (o.price_e4, -terms.scores.get(o.cell, 0), o.seq))))
        for (area, rank), asks in sorted(groups.items())
    ]


def tariff(book: Book, terms: Terms) -> Outcome:
    """Trade at the preset price, first come first served."""
    table, price, tally = terms.fees, terms.tariff_e4, Tally()
    willing = sorted((ask for ask in book.asks if ask.price_e4 <= price), key=lambda o: o.seq)
    stocks = [_Stock([ask for ask in willing if table.area(ask.bus) == area]) for area in range(table.areas)]

    def best(bid: Order) -> _Stock | None:
        fees = [(row[table.area(bid.bus)], area) for area, row in enumerate(table.pair_e4) if stocks[area].head()]
        fee, area = min(fees, default=(0, -1))
        return stocks[area] if area >= 0 and price + fee <= bid.price_e4 else None

    for pair in _serve(sorted(book.bids, key=lambda o: o.seq), best):
        tally.trade(pair, price, table.of(pair.ask.bus, pair.bid.bus))
    return outcome(book, terms, tally.awards())
