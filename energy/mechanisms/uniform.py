"""Uniform prices: the k-double auction, and its ends LAO and FRO.

Unit bids b_(1) >= b_(2) ..., unit asks a_(1) <= a_(2) ...; K = max{j: b_(j) >= a_(j)}; L = max(a_(K), b_(K+1)), U =
min(b_(K), a_(K+1)); price = L + floor(k (U - L)). LAO is k = 0 (the seller's side sets the price), FRO k = 1. Where a
side has no such order the band stands in. The paper's midpoint of the last matched pair is not used: with a partly
filled order at the margin it lies outside [L, U], and some unfilled order would gain by it.

With a fee matrix there is a price for every area (`transport.prices`); with one area and no fee it is the price above.
Certificate: `certificate.uniform_fault` (C1, generalised to areas).
"""

from __future__ import annotations

from dataclasses import replace

from energy.mechanisms.book import AreaPrices, Award, Book, Outcome, Terms, average_price
from energy.mechanisms.transport import Trade, between, edges, pairs, prices, solve


def uniform(book: Book, terms: Terms) -> Outcome:
    """All buyers of an area pay one price, all its sellers get one; the difference is the grid fees to the unit."""
    trade = solve(book, terms.fees)
    return priced(book, terms, trade)


def lao(book: Book, terms: Terms) -> Outcome:
    """Last accepted offer: the least price that clears."""
    return uniform(book, replace(terms, k_num=0, k_den=1))


def fro(book: Book, terms: Terms) -> Outcome:
    """First rejected offer: the greatest price that clears."""
    return uniform(book, replace(terms, k_num=1, k_den=1))


def priced(book: Book, terms: Terms, trade: Trade) -> Outcome:
    """The efficient trade at the prices that k picks."""
    table = terms.fees
    ends = edges(book.bids, trade.bid_fills, table), edges(book.asks, trade.ask_fills, table)
    found = between(*prices(ends, trade.flows, terms), terms)
    bids, asks = awards(book, terms, trade, found)
    energy = sum(trade.ask_fills)
    return Outcome(
        bids=bids,
        asks=asks,
        price_e4=average_price(book, terms, sum(award.amount for award in asks), energy),
        prices=found,
        flows=trade.flows,
    )


def awards(book: Book, terms: Terms, trade: Trade, found: AreaPrices) -> tuple[tuple[Award, ...], tuple[Award, ...]]:
    """What orders get at area prices."""
    table, fees = terms.fees, fees_by_bid(book, terms, trade)
    bids = tuple(
        Award(order, fill, found.buy_e4[table.area(order.bus)] * fill, fees.get(order.seq, 0))
        for order, fill in zip(book.bids, trade.bid_fills, strict=True)
        if fill
    )
    asks = tuple(
        Award(order, fill, found.sell_e4[table.area(order.bus)] * fill)
        for order, fill in zip(book.asks, trade.ask_fills, strict=True)
        if fill
    )
    return bids, asks


def fees_by_bid(book: Book, terms: Terms, trade: Trade) -> dict[int, int]:
    """Grid fees of an efficient trade, by the buyer's sequence."""
    fees: dict[int, int] = {}
    if not any(map(any, terms.fees.pair_e4)):
        return fees
    for ask, bid, energy in pairs(book, trade, terms.fees):
        fees[bid.seq] = fees.get(bid.seq, 0) + terms.fees.of(ask.bus, bid.bus) * energy
    return fees
