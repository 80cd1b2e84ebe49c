"""Huang's multi-unit double auction (Huang, Scheller-Wolf, Sycara 2002): the price setters don't trade.

At the crossing of the curves the last bid b_K and the last ask a_L that would trade set the prices: buyers pay b_K,
sellers get a_L. Every order at such a price is left out. If the rest of one side is longer, its gap is shared: each
order gives up the same energy, an order that has less than its share drops out (footnote of the paper's page 8); the
share is rounded down, and what is left over is given up one mWh each from the last sequence on, not by price, lest a
mWh reward a lie. The paper merges traders with one price; here they keep their own orders. With a fee matrix prices
are net of the fee envelope.
"""

from __future__ import annotations

from collections.abc import Sequence

from energy.mechanisms.book import Book, Outcome, Terms
from energy.mechanisms.merit import Fill, at_net_prices, merge, net_sides, outcome, volume


def huang(book: Book, terms: Terms) -> Outcome:
    """Buyers pay the marginal bid, sellers get the marginal ask, neither of which trades."""
    match = merge(*net_sides(book, terms.fees))
    if not match.bids:
        return outcome(book, terms, [])
    net = match.bids[-1].net.net_e4, match.asks[-1].net.net_e4
    bids = [fill for fill in match.bids if fill.net.net_e4 > net[0]]
    asks = [fill for fill in match.asks if fill.net.net_e4 < net[1]]
    energy = min(volume(bids), volume(asks))
    shorter = _shared(bids, volume(bids) - energy), _shared(asks, volume(asks) - energy)
    return outcome(book, terms, at_net_prices(shorter, net, terms))


def _shared(fills: Sequence[Fill], gap_mWh: int) -> list[Fill]:
    """What is left of fills that give up a gap together."""
    if gap_mWh == 0:
        return list(fills)
    ranked = sorted(fills, key=lambda fill: (fill.fill_mWh, -fill.net.order.seq))
    dropped = 0
    while ranked[dropped].fill_mWh * (len(fills) - dropped) < gap_mWh:
        gap_mWh -= ranked[dropped].fill_mWh
        dropped += 1
    share, rest = divmod(gap_mWh, len(fills) - dropped)
    late = sorted(ranked[dropped:], key=lambda fill: -fill.net.order.seq)
    left = {fill.net.order.seq: fill.fill_mWh - share - (place < rest) for place, fill in enumerate(late)}
    return [Fill(fill.net, left[fill.net.order.seq]) for fill in fills if left.get(fill.net.order.seq)]
