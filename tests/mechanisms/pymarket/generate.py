"""Writes vectors.json with pymarket, in an environment of its own (it needs an older pandas than this project):

    python -m venv build/pymarket
    build/pymarket/bin/pip install --require-hashes -r tests/mechanisms/pymarket/requirements.lock
    build/pymarket/bin/python tests/mechanisms/pymarket/generate.py

Huang's auction on whole books, and one half of MUDA at a price from outside (pymarket's own competitive price is the
middle of the last pair, which need not clear; so the halves are compared, and the price where it is unique).
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pymarket
from pymarket.bids import BidManager
from pymarket.mechanisms.huang_auction import huang_auction
from pymarket.mechanisms.muda_auction import find_competitive_price, solve_market_side_with_exogenous_price

SEED, CASES = 2018, 150
FLOOR, CAP = 20_000, 80_000
FILE = Path(__file__).with_name("vectors.json")


def draw(random: np.random.RandomState) -> list[list[int]]:
    """Rows of (buys, price, quantity, user); all prices differ, so that no rule for ties is needed."""
    count = random.randint(2, 12)
    prices = random.choice(np.arange(FLOOR, CAP, 7), size=count, replace=False)
    return [
        [int(random.rand() < 0.5), int(price), int(random.randint(1, 12)), int(random.randint(0, 6))]
        for price in prices
    ]


def managed(rows: list[list[int]]) -> object:
    """pymarket's table of the rows."""
    manager = BidManager()
    for buys, price, quantity, user in rows:
        manager.add_bid(quantity, float(price), user, bool(buys))
    return manager.get_df()


def traded(transactions: object) -> dict[str, float]:
    """Quantity by row."""
    found: dict[str, float] = {}
    for _, row in transactions.get_df().iterrows():
        found[str(int(row.bid))] = found.get(str(int(row.bid)), 0) + float(row.quantity)
    return {key: value for key, value in found.items() if value > 1e-9}


def both_sides(rows: list[list[int]]) -> bool:
    """Whether there is a bid and an ask."""
    return len({row[0] for row in rows}) == 2


def huang_case(rows: list[list[int]]) -> dict[str, object] | None:
    """Prices and quantities of Huang's auction, None when the curves don't cross."""
    found, extra = huang_auction(managed(rows))
    if not extra:
        return None
    return {"rows": rows, "buy": extra["price_buy"], "sell": extra["price_sell"], "trades": traded(found)}


def half_case(rows: list[list[int]], price: int) -> dict[str, object]:
    """A half of MUDA at a given price, and its own competitive price."""
    table = managed(rows)
    found, fees = solve_market_side_with_exogenous_price(table, price, np.zeros(6))
    own = find_competitive_price(table)
    return {
        "rows": rows,
        "price": price,
        "trades": traded(found),
        "fees": [float(fee) for fee in fees],
        "own_price": float(own) if own is not None and np.isfinite(own) else None,
    }


def main() -> None:
    """Write the file."""
    warnings.simplefilter("ignore")
    random = np.random.RandomState(SEED)
    huang: list[object] = []
    halves: list[object] = []
    while len(huang) < CASES or len(halves) < CASES:
        rows = draw(random)
        if not both_sides(rows):
            continue
        case = huang_case(rows)
        if case is not None and len(huang) < CASES:
            huang.append(case)
        if len(halves) < CASES:
            halves.append(half_case(rows, int(random.randint(FLOOR, CAP))))
    doc = {"pymarket": pymarket.__version__, "seed": SEED, "huang": huang, "halves": halves}
    FILE.write_text(json.dumps(doc, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
