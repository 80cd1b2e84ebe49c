"""C1: is a price with fills a right outcome of the uniform k-double auction? O(n), no sort, independent of the merge.

    0 <= x_i <= q_i, 0 <= y_j <= q_j, sum x = sum y
    b_i > price: x_i = q_i    b_i < price: x_i = 0    s_j < price: y_j = q_j    s_j > price: y_j = 0
    L = max(floor, s_j with y_j > 0, b_i with x_i < q_i)    U = min(cap, b_i with x_i > 0, s_j with y_j < q_j)
    L <= U and price = L + k_num * (U - L) // k_den
    at the money one side is filled, the other by sequence

A client checks with it a book that it has read; the tests hold the chain's clearing against it.
"""

from __future__ import annotations

from collections.abc import Sequence

from energy.market import keys
from energy.market.clearing import Rules, Trade


def check_uniform(trades: Sequence[Trade], price_e4: int, rules: Rules) -> str | None:
    """What is wrong with the fills of a whole book (0 allowed, any order) at a price; None when nothing is."""
    bids = [trade for trade in trades if trade.order.side == keys.BID]
    asks = [trade for trade in trades if trade.order.side == keys.ASK]
    bought, sold = sum(trade.fill_mWh for trade in bids), sum(trade.fill_mWh for trade in asks)
    if bought != sold:
        return f"bought {bought} mWh, sold {sold} mWh"
    for trade in trades:
        fault = _fault(trade, price_e4)
        if fault is not None:
            return f"order {trade.order.seq}: {fault}"
    return _price_fault(bids, asks, price_e4, rules) or _money_fault(bids, asks, price_e4)


def _fault(trade: Trade, price_e4: int) -> str | None:
    order, fill = trade
    if not 0 <= fill <= order.quantity_mWh:
        return f"fill has to be 0..{order.quantity_mWh}, got {fill}"
    sign = 1 if order.side == keys.BID else -1
    gain = sign * (order.price_e4 - price_e4)
    if gain > 0 and fill != order.quantity_mWh:
        return f"is better than the price {price_e4} and gets {fill} of {order.quantity_mWh}"
    if gain < 0 and fill:
        return f"is worse than the price {price_e4} and gets {fill}"
    return None


def _price_fault(bids: list[Trade], asks: list[Trade], price_e4: int, rules: Rules) -> str | None:
    lower = max(
        [rules.floor_e4]
        + [order.price_e4 for order, fill in asks if fill > 0]
        + [order.price_e4 for order, fill in bids if fill < order.quantity_mWh]
    )
    upper = min(
        [rules.cap_e4]
        + [order.price_e4 for order, fill in bids if fill > 0]
        + [order.price_e4 for order, fill in asks if fill < order.quantity_mWh]
    )
    if lower > upper:
        return f"L {lower} lies above U {upper}"
    expected = lower + rules.k_num * (upper - lower) // rules.k_den
    return None if price_e4 == expected else f"price has to be {expected}, got {price_e4}"


def _money_fault(bids: list[Trade], asks: list[Trade], price_e4: int) -> str | None:
    at_money = [sorted((t for t in side if t.order.price_e4 == price_e4), key=_seq) for side in (bids, asks)]
    unfilled = [any(fill < order.quantity_mWh for order, fill in side) for side in at_money]
    if all(unfilled):
        return f"both sides have orders at {price_e4} that are not filled"
    for side in at_money:
        fills = [(fill, order.quantity_mWh) for order, fill in side]
        first_short = next((at for at, (fill, most) in enumerate(fills) if fill < most), len(fills))
        if any(fill for fill, _ in fills[first_short + 1 :]):
            return f"orders at {price_e4} are not filled by sequence"
    return None


def _seq(trade: Trade) -> int:
    return trade.order.seq
