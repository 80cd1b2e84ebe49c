"""Random books as a residential microgrid has them, the same for one seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from energy.mechanisms.book import ASK, BID, Book, Order, Terms
from energy.mechanisms.fees import LOCAL, MAIN_GRID, NO_FEES, FeeTable, Levies, fee_table

FLOOR_E4, CAP_E4, TARIFF_E4 = 20_000, 80_000, 50_000  # feed-in tariff, LMP cap, preset tariff
BUSES = 56
AREAS = 4
DNO_E4, MO_E4 = 2_500, 1_500  # 0.25 and 0.15 a kWh, the first paper's charges


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """How orders are drawn.

    How many; whether all have one size; how many a cell may have (always on one side); whether all bids lie at the cap,
    so that demand is fixed and only sellers have something to lie about.
    """

    name: str
    orders: tuple[int, int]
    one_size: bool = False
    orders_per_cell: int = 1
    fixed_demand: bool = False


def fees() -> FeeTable:
    """Four areas along the feeder, dearer with distance; the last one is the tie to the main grid."""
    network = [[500 + 1_500 * abs(i - j) for j in range(AREAS)] for i in range(AREAS)]
    kinds = (LOCAL,) * (AREAS - 1) + (MAIN_GRID,)
    areas = {bus: bus * AREAS // (BUSES + 1) for bus in range(1, BUSES + 1)}
    return fee_table(areas, network, Levies(dno_e4=DNO_E4, mo_e4=MO_E4, kinds=kinds))


def draw(random: Random, population: Population) -> list[Order]:
    """One book's orders; a cell's orders lie on one side."""
    count = random.randint(*population.orders)
    cells = max(1, count // population.orders_per_cell)
    homes = {cell: (random.choice((BID, ASK)), random.randint(1, BUSES)) for cell in range(1, cells + 1)}
    found = []
    for seq in range(1, count + 1):
        cell = random.randint(1, cells) if population.orders_per_cell > 1 else min(seq, cells)
        side, bus = homes[cell]
        quantity = 1_000_000 if population.one_size else random.randint(50_000, 2_000_000)
        price = random.randint(FLOOR_E4, CAP_E4)
        at_cap = population.fixed_demand and side == BID
        found.append(Order(side, CAP_E4 if at_cap else price, seq, cell, bus, quantity))
    return found


def terms(random: Random, book: Book, table: FeeTable = NO_FEES) -> Terms:
    """The usual terms; scores and thresholds for the greedy match."""
    cells = sorted({order.cell for order in (*book.bids, *book.asks)})
    return Terms(
        floor_e4=FLOOR_E4,
        cap_e4=CAP_E4,
        tariff_e4=TARIFF_E4,
        fees=table,
        scores={cell: random.randint(300, 1000) for cell in cells},
        thresholds={bid.seq: random.choice((0, 0, 500)) for bid in book.bids},
        seed=random.randbytes(8),
    )
