"""The properties of each mechanism, measured: individual rationality, budget, incentive compatibility, efficiency.

Every book is cleared as told. Then cells lie, one at a time, about the prices of all their orders alike; whoever
gains by that, at its true prices, shows that the mechanism isn't truthful. The greatest welfare comes from the
efficient trade, which the tests hold against a linear program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any as Json

from bsmg.market import books
from bsmg.market.books import Population
from energy.mechanisms.book import ASK, BID, Book, Order, Outcome, Terms
from energy.mechanisms.catalogue import ALL, CATALOGUE, EXACT, SELLERS, SINGLE, SUBSIDY, UNIT, Entry
from energy.mechanisms.certificate import sound_fault
from energy.mechanisms.fees import NO_FEES, FeeTable
from energy.mechanisms.vickrey import welfare

POPULATIONS = (
    Population(name="one size", orders=(4, 20), one_size=True),
    Population(name="single orders", orders=(4, 20)),
    Population(name="several orders", orders=(4, 24), orders_per_cell=3),
    Population(name="fixed demand", orders=(4, 24), orders_per_cell=2, fixed_demand=True),
)
TRUTHFUL_IN: Mapping[str, Sequence[str]] = {
    UNIT: ("one size",),
    SINGLE: ("one size", "single orders"),
    SELLERS: ("fixed demand",),
    ALL: tuple(population.name for population in POPULATIONS),
}
LIARS_A_BOOK, LIES_A_CELL = 3, 4


@dataclass(slots=True, kw_only=True)
class Measured:
    """One mechanism on the books of one population."""

    books: int = 0
    losers: int = 0  # orders that lost by trading, or broke another rule of every outcome
    deficits: int = 0
    surplus: int = 0
    subsidy: int = 0
    fees: int = 0
    welfare: int = 0
    best: int = 0
    worst_permille: int = 1000
    lies: int = 0
    paying_lies: int = 0
    best_lie: int = 0

    def add(self, book: Book, outcome: Outcome, best: int) -> None:
        """One honest book."""
        self.books += 1
        self.losers += sound_fault(book, outcome) is not None
        self.deficits += outcome.surplus < 0
        self.surplus += max(0, outcome.surplus)
        self.subsidy += max(0, -outcome.surplus)
        self.fees += outcome.fees
        self.welfare += outcome.welfare
        self.best += best
        self.worst_permille = min(self.worst_permille, 1000 * outcome.welfare // best if best else 1000)

    def lie(self, gain: int) -> None:
        """One lie and what it brought."""
        self.lies += 1
        if gain > 0:
            self.paying_lies += 1
            self.best_lie = max(self.best_lie, gain)

    @property
    def best_lie_permille(self) -> int:
        """Of a book's greatest welfare on average."""
        return 1000 * self.best_lie * self.books // max(1, self.best)

    def document(self) -> dict[str, Json]:
        """For people and programs; shares are permille of the greatest welfare."""
        return {
            "books": self.books,
            "unsound": self.losers,
            "books_with_deficit": self.deficits,
            "surplus_permille": 1000 * self.surplus // max(1, self.best),
            "subsidy_permille": 1000 * self.subsidy // max(1, self.best),
            "fees_permille": 1000 * self.fees // max(1, self.best),
            "efficiency_permille": 1000 * self.welfare // max(1, self.best),
            "worst_efficiency_permille": self.worst_permille,
            "lies": self.lies,
            "paying_lies": self.paying_lies,
            "best_lie_permille": self.best_lie_permille,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to measure."""

    count: int = 100
    seed: int = 1
    names: Sequence[str] = field(default_factory=lambda: tuple(CATALOGUE))
    table: FeeTable = NO_FEES


Report = dict[str, dict[str, Measured]]


def measure(options: Options) -> Report:
    """By mechanism and population."""
    report: Report = {name: {population.name: Measured() for population in POPULATIONS} for name in options.names}
    for population in POPULATIONS:
        random = Random(f"{options.seed}/{population.name}")  # noqa: S311  (nothing secret)
        for _ in range(options.count):
            orders = books.draw(random, population)
            book = Book.of(orders)
            terms = books.terms(random, book, options.table)
            best = welfare(book, options.table)
            told = lies(random, orders, sellers=population.fixed_demand)
            for name in options.names:
                _one(report[name][population.name], CATALOGUE[name], (book, terms, best), told)
    return report


def _one(measured: Measured, entry: Entry, case: tuple[Book, Terms, int], told: Sequence[tuple[int, Book]]) -> None:
    book, terms, best = case
    honest = entry.rule(book, terms)
    measured.add(book, honest, best)
    truth = {order.seq: order.price_e4 for order in (*book.bids, *book.asks)}
    for cell, false in told:
        gain = gained(entry.rule(false, terms), cell, truth) - gained(honest, cell, truth)
        measured.lie(gain)


def lies(random: Random, orders: Sequence[Order], *, sellers: bool = False) -> list[tuple[int, Book]]:
    """(liar, what the book is then); where demand is fixed only sellers lie."""
    cells = sorted({order.cell for order in orders if order.side == ASK or not sellers})
    found = []
    for cell in random.sample(cells, min(LIARS_A_BOOK, len(cells))):
        for _ in range(LIES_A_CELL):
            permille = random.randint(600, 1400)
            found.append(
                (cell, Book.of(_shifted(order, permille) if order.cell == cell else order for order in orders))
            )
    return found


def _shifted(order: Order, permille: int) -> Order:
    price = order.price_e4 * permille // 1000
    return order._replace(price_e4=min(books.CAP_E4, max(books.FLOOR_E4, price)))


def gained(outcome: Outcome, cell: int, truth: Mapping[int, int]) -> int:
    """What a cell gains at its true prices."""
    total = 0
    for award in (*outcome.bids, *outcome.asks):
        if award.order.cell == cell:
            value = truth[award.order.seq] * award.fill_mWh - award.amount
            total += value if award.order.side == BID else -value
    return total


def contradictions(report: Report) -> list[str]:
    """Where what was measured is against what the catalogue says."""
    found = []
    for name, by_population in report.items():
        entry = CATALOGUE[name]
        for population, measured in by_population.items():
            found += [f"{name}, {population}: {text}" for text in _against(entry, population, measured)]
    return found


def _against(entry: Entry, population: str, measured: Measured) -> list[str]:
    told = []
    if measured.losers:
        told.append(f"{measured.losers} unsound outcomes")
    if entry.budget != SUBSIDY and measured.deficits:
        told.append(f"{measured.deficits} deficits where the budget is {entry.budget}")
    if entry.budget == EXACT and measured.surplus:
        told.append(f"a surplus of {measured.surplus} where the budget is exact")
    if entry.efficient and measured.welfare != measured.best:
        told.append(f"welfare {measured.welfare}, the greatest is {measured.best}")
    if population in TRUTHFUL_IN.get(entry.truthful, ()) and measured.paying_lies:
        told.append(f"{measured.paying_lies} lies paid where truthful for {entry.truthful}")
    return told


def summary(report: Report) -> list[dict[str, Json]]:
    """One row a mechanism, all populations together."""
    return [_row(name, list(by_population.values())) for name, by_population in report.items()]


def _row(name: str, parts: Sequence[Measured]) -> dict[str, Json]:
    entry, best = CATALOGUE[name], max(1, sum(part.best for part in parts))
    return {
        "mechanism": name,
        "rational": not any(part.losers for part in parts),
        "budget": entry.budget,
        "surplus_permille": 1000 * sum(part.surplus - part.subsidy for part in parts) // best,
        "books_with_deficit": sum(part.deficits for part in parts),
        "efficiency_permille": 1000 * sum(part.welfare for part in parts) // best,
        "worst_efficiency_permille": min(part.worst_permille for part in parts),
        "truthful": entry.truthful,
        "paying_lies_permille": [1000 * part.paying_lies // max(1, part.lies) for part in parts],
        "best_lie_permille": max(part.best_lie_permille for part in parts),
    }
