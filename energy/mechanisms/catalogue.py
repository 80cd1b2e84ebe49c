"""The mechanisms by name, and what theory says of each; `bsmg market report` measures the same.

No mechanism has all four properties (Myerson, Satterthwaite 1983).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from energy.mechanisms.book import Book, Outcome, Terms
from energy.mechanisms.certificate import fault, uniform_fault
from energy.mechanisms.direct import greedy, tariff
from energy.mechanisms.discriminatory import discriminatory, pay_as_bid
from energy.mechanisms.huang import huang
from energy.mechanisms.merit import Mechanism
from energy.mechanisms.muda import muda
from energy.mechanisms.reduction import trade_reduction
from energy.mechanisms.uniform import fro, lao, uniform
from energy.mechanisms.vickrey import ORDERS_MAX, vcg, vickrey


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A mechanism and what is known of it.

    `truthful`: who can't gain by a false price, as long as a cell is on one side. `budget`: exact, surplus (what is
    left is the operator's), or subsidy. `k` is what C1 checks an outcome with; without it the rule is computed again.
    """

    rule: Mechanism
    truthful: str
    budget: str
    efficient: bool
    k: Callable[[Terms], tuple[int, int]] | None = None
    orders_max: int = 0  # 0: no limit of its own

    def fault(self, book: Book, terms: Terms, outcome: Outcome) -> str | None:
        """What is wrong with an outcome; None when it is this mechanism's."""
        if self.k is not None:
            k_num, k_den = self.k(terms)
            return uniform_fault(book, replace(terms, k_num=k_num, k_den=k_den), outcome)
        return fault(self.rule, book, terms, outcome)


NOBODY, UNIT, SINGLE, ALL = "nobody", "orders of one size", "single orders", "everybody"
SELLERS = "sellers, fixed demand"
EXACT, SURPLUS, SUBSIDY = "exact", "surplus", "subsidy"

CATALOGUE: Mapping[str, Entry] = {
    "uniform-k": Entry(
        rule=uniform, truthful=NOBODY, budget=EXACT, efficient=True, k=lambda terms: (terms.k_num, terms.k_den)
    ),
    "lao": Entry(rule=lao, truthful=NOBODY, budget=EXACT, efficient=True, k=lambda _: (0, 1)),
    "fro": Entry(rule=fro, truthful=NOBODY, budget=EXACT, efficient=True, k=lambda _: (1, 1)),
    "discriminatory-k": Entry(rule=discriminatory, truthful=NOBODY, budget=EXACT, efficient=True),
    "pay-as-bid": Entry(rule=pay_as_bid, truthful=NOBODY, budget=SURPLUS, efficient=True),
    "trade-reduction": Entry(rule=trade_reduction, truthful=UNIT, budget=SURPLUS, efficient=False),
    "vickrey": Entry(rule=vickrey, truthful=SELLERS, budget=SUBSIDY, efficient=True, orders_max=ORDERS_MAX),
    "vcg": Entry(rule=vcg, truthful=ALL, budget=SUBSIDY, efficient=True, orders_max=ORDERS_MAX),
    "greedy": Entry(rule=greedy, truthful=NOBODY, budget=EXACT, efficient=False),
    "tariff": Entry(rule=tariff, truthful=SINGLE, budget=EXACT, efficient=False),
    "muda": Entry(rule=muda, truthful=ALL, budget=SURPLUS, efficient=False),
    "huang": Entry(rule=huang, truthful=SINGLE, budget=SURPLUS, efficient=False),
}
