"""The mechanisms by name, and what theory says of each; `bsmg market report` measures the same.

No mechanism has all four properties (Myerson, Satterthwaite 1983).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from energy.mechanisms.book import Book, Outcome, Terms
from energy.mechanisms.certificate import fault, uniform_fault
from energy.mechanisms.direct import greedy, tariff
from energy.mechanisms.discriminatory import discriminatory
from energy.mechanisms.huang import huang
from energy.mechanisms.merit import Mechanism
from energy.mechanisms.muda import muda
from energy.mechanisms.reduction import trade_reduction
from energy.mechanisms.uniform import fro, lao, uniform
from energy.mechanisms.vickrey import ORDERS_MAX, vcg, vickrey


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A mechanism and what is known of it.

    `truthful`: who can't gain by a false price. `budget`: exact, surplus (what is left is the operator's), or subsidy.
    `certified`: an outcome is checked by C1; otherwise by computing the rule again.
    """

    rule: Mechanism
    truthful: str
    budget: str
    efficient: bool
    certified: bool = False
    orders_max: int = 0  # 0: no limit of its own

    def fault(self, book: Book, terms: Terms, outcome: Outcome) -> str | None:
        """What is wrong with an outcome; None when it is this mechanism's."""
        if self.certified:
            return uniform_fault(book, terms, outcome)
        return fault(self.rule, book, terms, outcome)


NOBODY, SINGLE, ALL = "nobody", "single orders", "everybody"
EXACT, SURPLUS, SUBSIDY = "exact", "surplus", "subsidy"

CATALOGUE: Mapping[str, Entry] = {
    "uniform-k": Entry(rule=uniform, truthful=NOBODY, budget=EXACT, efficient=True, certified=True),
    "lao": Entry(rule=lao, truthful=NOBODY, budget=EXACT, efficient=True),
    "fro": Entry(rule=fro, truthful=NOBODY, budget=EXACT, efficient=True),
    "discriminatory-k": Entry(rule=discriminatory, truthful=NOBODY, budget=EXACT, efficient=True),
    "trade-reduction": Entry(rule=trade_reduction, truthful=SINGLE, budget=SURPLUS, efficient=False),
    "vickrey": Entry(
        rule=vickrey, truthful="sellers, fixed demand", budget=SUBSIDY, efficient=True, orders_max=ORDERS_MAX
    ),
    "vcg": Entry(rule=vcg, truthful=ALL, budget=SUBSIDY, efficient=True, orders_max=ORDERS_MAX),
    "greedy": Entry(rule=greedy, truthful=NOBODY, budget=EXACT, efficient=False),
    "tariff": Entry(rule=tariff, truthful=ALL, budget=EXACT, efficient=False),
    "muda": Entry(rule=muda, truthful=ALL, budget=SURPLUS, efficient=False),
    "huang": Entry(rule=huang, truthful=SINGLE, budget=SURPLUS, efficient=False),
}
