"""The discriminatory k-double auction: the j-th best unit bid and ask trade at a price of their own.

price of a pair = a + floor(k (b - a)), so k b + (1 - k) a rounded down; b is what the bid leaves after the pair's
fee. With a fee matrix the pairs are those of the efficient trade, area by area.
"""

from __future__ import annotations

from energy.mechanisms.book import Book, Outcome, Terms
from energy.mechanisms.merit import Tally, outcome
from energy.mechanisms.transport import pairs, solve


def discriminatory(book: Book, terms: Terms) -> Outcome:
    """Everybody trades at the prices of its pairs."""
    table, tally = terms.fees, Tally()
    for pair in pairs(book, solve(book, table), table):
        fee = table.of(pair.ask.bus, pair.bid.bus)
        tally.trade(pair, terms.split(pair.ask.price_e4, pair.bid.price_e4 - fee), fee)
    return outcome(book, terms, tally.awards())


def pay_as_bid(book: Book, terms: Terms) -> Outcome:
    """The same pairs, everybody at the own limit: what buyers pay above sellers' pay and the fees is surplus."""
    table, tally = terms.fees, Tally()
    for ask, bid, energy in pairs(book, solve(book, table), table):
        tally.add(bid, energy, bid.price_e4 * energy, table.of(ask.bus, bid.bus) * energy)
        tally.add(ask, energy, ask.price_e4 * energy)
    return outcome(book, terms, tally.awards())
