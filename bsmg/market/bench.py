"""How long a validator takes to clear a book and to check the outcome: CPU time, the best of a few runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import process_time_ns
from typing import Any as Json
from typing import TypeVar

from bsmg.market import books
from bsmg.market.books import Population
from cosmos_wire.protos import market as pb
from energy.market import clearing
from energy.market.certificate import check_uniform
from energy.mechanisms.book import Book, Order
from energy.mechanisms.catalogue import CATALOGUE
from energy.mechanisms.fees import NO_FEES, FeeTable

REQUIRED_MS = 100.0
REQUIRED_ORDERS = 10_000
SIZES = (100, 1_000, REQUIRED_ORDERS)
NS_A_MS = 1_000_000
CHAIN = "chain's own merge and C1"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds of CPU; without a certificate the check is the clearing done again."""

    mechanism: str
    fees: str
    orders: int
    clear_ms: float
    check_ms: float
    certified: bool

    @property
    def total_ms(self) -> float:
        """What a validator spends: both with a certificate, else the check, which clears."""
        return self.clear_ms + self.check_ms if self.certified else self.check_ms

    @property
    def met(self) -> bool:
        """Whether it is inside the limit."""
        return self.total_ms <= REQUIRED_MS

    def document(self) -> dict[str, Json]:
        """For people and programs."""
        return {
            "mechanism": self.mechanism,
            "fees": self.fees,
            "orders": self.orders,
            "clear_ms": round(self.clear_ms, 2),
            "check_ms": round(self.check_ms, 2),
            "validator_ms": round(self.total_ms, 2),
            "met": self.met,
        }


def timed(work: Callable[[], T], runs: int) -> tuple[T, float]:
    """Result, and milliseconds of the best run."""
    result, best = work(), 0.0
    for run in range(runs):
        start = process_time_ns()
        result = work()
        spent = (process_time_ns() - start) / NS_A_MS
        best = spent if run == 0 else min(best, spent)
    return result, best


def measure(sizes: Sequence[int] = SIZES, runs: int = 3, names: Sequence[str] = ()) -> list[Timing]:
    """The chain's own clearing, then every mechanism without fees and with a matrix, at each size it takes."""
    found = []
    for size in sizes:
        random = Random(size)  # noqa: S311  (nothing secret)
        orders = books.draw(random, Population(name="bench", orders=(size, size)))
        found.append(_chain(orders, runs))
        for label, table in (("none", NO_FEES), (f"{books.AREAS} areas", books.fees())):
            for name in names or CATALOGUE:
                found.append(_mechanism(name, (label, table), orders, runs))
    return found


def _mechanism(name: str, fees: tuple[str, FeeTable], orders: Sequence[Order], runs: int) -> Timing:
    entry, label = CATALOGUE[name], fees[0]
    book = Book.of(orders[: entry.orders_max or len(orders)])
    terms = books.terms(Random(1), book, fees[1])  # noqa: S311  (nothing secret)
    outcome, clear_ms = timed(lambda: entry.rule(book, terms), runs)
    fault, check_ms = timed(lambda: entry.fault(book, terms, outcome), runs)
    assert fault is None, fault
    times = {"clear_ms": clear_ms, "check_ms": check_ms}
    return Timing(mechanism=name, fees=label, orders=len(book), certified=entry.k is not None, **times)


def _chain(orders: Sequence[Order], runs: int) -> Timing:
    book = Book.of(orders)
    sides = [[clearing.BookOrder(*order) for order in side] for side in (book.bids, book.asks)]
    rules = clearing.Rules(
        mechanism=pb.MECHANISM_UNIFORM_K, k_num=1, k_den=2, floor_e4=books.FLOOR_E4, cap_e4=books.CAP_E4
    )
    (found, _), clear_ms = timed(lambda: clearing.clear((iter(sides[0]), iter(sides[1])), rules, {}), runs)
    trades = [clearing.Trade(o, clearing.fill_mWh(o, found, 1000)) for side in sides for o in side]
    fault, check_ms = timed(lambda: check_uniform(trades, found.price_e4, rules), runs)
    assert fault is None, fault
    return Timing(mechanism=CHAIN, fees="none", orders=len(book), clear_ms=clear_ms, check_ms=check_ms, certified=True)
