"""The efficient trade as a linear program for HiGHS: an oracle that shares nothing with the augmenting paths."""

from __future__ import annotations

from collections.abc import Sequence

import highspy
import numpy as np

from energy.mechanisms.book import ASK, BID, Order
from energy.mechanisms.fees import FeeTable


def solved(
    costs: Sequence[float], upper: Sequence[float], rows: Sequence[tuple[dict[int, float], float, float]]
) -> float:
    """min costs * x, 0 <= x <= upper, low <= row * x <= high: the objective."""
    lp = highspy.Highs()
    lp.setOptionValue("output_flag", False)
    for cost, most in zip(costs, upper, strict=True):
        lp.addVar(0.0, most)
        lp.changeColCost(lp.getNumCol() - 1, cost)
    for row, low, high in rows:
        lp.addRow(low, high, len(row), np.array(list(row), dtype=np.int32), np.array(list(row.values())))
    lp.run()
    assert lp.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(lp.getInfo().objective_function_value)


def greatest_welfare(orders: Sequence[Order], table: FeeTable) -> int:
    """After fees, base units; the vertices of a transport problem are integers."""
    sign = [-1 if order.side == BID else 1 for order in orders]
    costs = [s * order.price_e4 for s, order in zip(sign, orders, strict=True)]
    upper: list[float] = [order.quantity_mWh for order in orders]
    size, first = table.areas, len(orders)
    costs += [fee for row in table.pair_e4 for fee in row]
    upper += [highspy.kHighsInf] * size * size
    rows = []
    for side, step in ((ASK, size), (BID, 1)):
        for area in range(size):
            row = {at: 1.0 for at, o in enumerate(orders) if o.side == side and table.area(o.bus) == area}
            for other in range(size):
                row[first + area * step + other * (size if step == 1 else 1)] = -1.0
            rows.append((row, 0.0, 0.0))
    return -round(solved(costs, upper, rows)) if orders else 0
