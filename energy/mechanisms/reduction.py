"""Trade reduction (McAfee 1992): give up the least valuable trade, so that no order trades at its own price.

p0 = floor((b_(K+1) + a_(K+1)) / 2) of the first orders that don't trade. If a_(K) <= p0 <= b_(K), and the orders at
the margin are filled, all trade at p0. Else the last bid and the last ask go, buyers pay b_(K), sellers get a_(K),
and what lies between is surplus. Orders stand for the paper's units; where their quantities differ the long side is
cut from its end. With a fee matrix prices are net of the fee envelope.
"""

from __future__ import annotations

from energy.mechanisms.book import Book, Outcome, Terms
from energy.mechanisms.merit import Match, at_net_prices, first, merge, net_sides, outcome, volume


def trade_reduction(book: Book, terms: Terms) -> Outcome:
    """McAfee's rule on orders."""
    match = merge(*net_sides(book, terms.fees))
    if not match.bids:
        return outcome(book, terms, [])
    middle = _middle(match)
    if middle is not None:
        return outcome(book, terms, at_net_prices((match.bids, match.asks), (middle, middle), terms))
    bids, asks = match.bids[:-1], match.asks[:-1]
    energy = min(volume(bids), volume(asks))
    net = match.bids[-1].net.net_e4, match.asks[-1].net.net_e4
    return outcome(book, terms, at_net_prices((first(bids, energy), first(asks, energy)), net, terms))


def _middle(match: Match) -> int | None:
    """p0, None when it can't be the price."""
    if not match.whole or match.open_bid is None or match.open_ask is None:
        return None
    middle = (match.open_bid.net_e4 + match.open_ask.net_e4) // 2
    return middle if match.asks[-1].net.net_e4 <= middle <= match.bids[-1].net.net_e4 else None
