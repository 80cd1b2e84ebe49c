"""Payments by what a cell's presence changes for the others: multi-unit Vickrey for sellers, and VCG for everybody.

Both trade efficiently. VCG: cell i's gain is W - W(without i), W the greatest welfare; so a buyer pays W(-i) - (W -
v_i(x_i)) and a seller gets c_i(x_i) + (W - W(-i)). Multi-unit Vickrey has a fixed demand: seller i gets, for its m_i
accepted units, the m_i lowest asks of others that were rejected, the cap where none is left; buyers pay the uniform
price. The paper says nothing about demand that is not fixed. Here the demand is what the efficient trade serves; with
bids at the cap that is fixed, and the rule is VCG's for sellers; with elastic bids it isn't truthful, and VCG is the
answer.

Both need a subsidy, and VCG solves the book again for every cell that trades: at most 200 orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from energy.errors import MechanismLimit
from energy.mechanisms.book import ASK, Award, Book, Order, Outcome, Terms
from energy.mechanisms.fees import FeeTable
from energy.mechanisms.merit import merge, net_sides, outcome
from energy.mechanisms.transport import Trade, solve
from energy.mechanisms.uniform import fees_by_bid, priced

ORDERS_MAX = 200


def vcg(book: Book, terms: Terms) -> Outcome:
    """Vickrey, Clarke, Groves: truthful and efficient, with a deficit. Raises MechanismLimit."""
    _require_small(book)
    trade = solve(book, terms.fees)
    best = welfare(book, terms.fees)
    flat = _at_own_prices(book, terms, trade)
    awards: list[Award] = []
    for cell in sorted({award.order.cell for award in flat}):
        gain = best - welfare(book.without(cell), terms.fees)
        awards += shared([award for award in flat if award.order.cell == cell], gain)
    return outcome(book, terms, awards)


def vickrey(book: Book, terms: Terms) -> Outcome:
    """Multi-unit Vickrey payments to sellers, one price for buyers. Raises MechanismLimit."""
    _require_small(book)
    trade = solve(book, terms.fees)
    bids = priced(book, terms, trade).bids
    asks = [award for award in _at_own_prices(book, terms, trade) if award.order.side == ASK]
    demand = [award.order._replace(price_e4=terms.cap_e4, quantity_mWh=award.fill_mWh) for award in bids]
    fixed = Book.of([*demand, *book.asks])
    best = welfare(fixed, terms.fees)
    awards: list[Award] = []
    for cell in sorted({award.order.cell for award in asks}):
        others = replace(fixed, asks=[order for order in fixed.asks if order.cell != cell])
        awards += shared([award for award in asks if award.order.cell == cell], best - welfare(others, terms.fees))
    return outcome(book, terms, [*bids, *awards])


def welfare(book: Book, table: FeeTable) -> int:
    """The greatest welfare of a book after fees; by a plain merge where one area makes that enough."""
    if table.areas == 1:
        match = merge(*net_sides(book, table))
        return sum(f.net.net_e4 * f.fill_mWh for f in match.bids) - sum(f.net.net_e4 * f.fill_mWh for f in match.asks)
    trade = solve(book, table)
    fees = sum(
        fee * flow
        for fees_row, flow_row in zip(table.pair_e4, trade.flows, strict=True)
        for fee, flow in zip(fees_row, flow_row, strict=True)
    )
    return _value(book.bids, trade.bid_fills) - _value(book.asks, trade.ask_fills) - fees


def _value(orders: Sequence[Order], fills: Sequence[int]) -> int:
    return sum(order.price_e4 * fill for order, fill in zip(orders, fills, strict=True))


def _require_small(book: Book) -> None:
    if len(book) > ORDERS_MAX:
        raise MechanismLimit(f"at most {ORDERS_MAX} orders are cleared by VCG or multi-unit Vickrey, got {len(book)}")


def _at_own_prices(book: Book, terms: Terms, trade: Trade) -> list[Award]:
    fees = fees_by_bid(book, terms, trade)
    rows = [*zip(book.bids, trade.bid_fills, strict=True), *zip(book.asks, trade.ask_fills, strict=True)]
    return [Award(order, fill, order.price_e4 * fill, fees.get(order.seq, 0)) for order, fill in rows if fill]


def shared(awards: list[Award], gain: int) -> list[Award]:
    """Give a cell's gain to its asks by energy, or, if it sold nothing, to its bids by value; the last takes the rest.

    Awards come at their own prices. A buyer's gain is never above its value, so no amount turns negative.
    """
    sellers = [award for award in awards if award.order.side == ASK]
    takers = sellers or awards
    weights = [award.fill_mWh if sellers else award.amount for award in takers]
    total, left = max(1, sum(weights)), gain  # bids of price 0 have no value to share by
    changed = {award.order.seq: award for award in awards}
    for award, weight in zip(takers, weights, strict=True):
        part = gain * weight // total if award is not takers[-1] else left
        left -= part
        changed[award.order.seq] = award._replace(amount=award.amount + (part if sellers else -part))
    return [changed[award.order.seq] for award in awards]
