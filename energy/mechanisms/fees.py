"""Grid fees: a matrix by area of the feeder, every bus in one area, and the fees of the DNO and the MO.

    fee of a trade, a unit = network[seller's area][buyer's area]
                             + dno where either end is the main grid + mo where either end is another microgrid

Equation (1) of the first paper charges f_DNO and f_MO on every contract; its own definition has the DNO's for contracts
with the main grid and the MO's for those between microgrids, which is what is built (specification 1.2). Fees are per
kWh, not per contract, as its section 1.5 decides.

The efficient mechanisms and those that match pairs charge the matrix exactly. The rest need one order of merit, so
each end carries its share of an additive envelope (`sell_e4`, `buy_e4`): sell[i] + buy[j] >= fee[i][j], equal
wherever the matrix is additive. It does not depend on bids, so that truthful mechanisms stay truthful; what it takes
beyond the fee is surplus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from energy.errors import FeesMalformed
from energy.units import PRICE_MAX_E4, U16_MAX, require_range

AREAS_MAX = 8  # the search for paths grows with the fourth power: about a second at 16 areas and 10,000 orders
LOCAL, MAIN_GRID, MICROGRID = 0, 1, 2
KINDS = (LOCAL, MAIN_GRID, MICROGRID)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeTable:
    """Fee a unit between areas, DNO and MO fees included; buses that `area_of_bus` leaves out are in area 0."""

    area_of_bus: Mapping[int, int]
    pair_e4: tuple[tuple[int, ...], ...]
    sell_e4: tuple[int, ...]
    buy_e4: tuple[int, ...]

    @property
    def areas(self) -> int:
        """How many there are, at least 1."""
        return len(self.pair_e4)

    def area(self, bus: int) -> int:
        """Area of a bus."""
        return self.area_of_bus.get(bus, 0)

    def of(self, seller_bus: int, buyer_bus: int) -> int:
        """Fee a unit of a trade between two buses."""
        return self.pair_e4[self.area(seller_bus)][self.area(buyer_bus)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levies:
    """What areas at the edge of the microgrid pay besides: fees of DNO and MO, and each area's kind."""

    dno_e4: int = 0
    mo_e4: int = 0
    kinds: Sequence[int] = ()


def fee_table(area_of_bus: Mapping[int, int], network_e4: Sequence[Sequence[int]], levies: Levies) -> FeeTable:
    """Check and build a table; raises FeesMalformed."""
    size = len(network_e4)
    require_range(size, (1, AREAS_MAX), "number of fee areas", FeesMalformed)
    kinds = tuple(levies.kinds) or (LOCAL,) * size
    if len(kinds) != size or any(len(row) != size for row in network_e4) or any(kind not in KINDS for kind in kinds):
        raise FeesMalformed(f"{size} rows of {size} fees and {size} kinds of 0..2 are expected, got kinds {kinds}")
    for bus, area in area_of_bus.items():
        require_range(bus, (0, U16_MAX), "bus of a fee area", FeesMalformed)
        require_range(area, (0, size - 1), f"fee area of bus {bus}", FeesMalformed)
    pair = tuple(
        tuple(row[at] + _levy(levies, (kinds[origin], kinds[at])) for at in range(size))
        for origin, row in enumerate(network_e4)
    )
    for value in (levies.dno_e4, levies.mo_e4, *(value for row in network_e4 for value in row)):
        require_range(value, (0, PRICE_MAX_E4), "fee_e4", FeesMalformed)
    sell, buy = envelope(pair)
    return FeeTable(area_of_bus=MappingProxyType(dict(area_of_bus)), pair_e4=pair, sell_e4=sell, buy_e4=buy)


def _levy(levies: Levies, ends: tuple[int, int]) -> int:
    return (levies.dno_e4 if MAIN_GRID in ends else 0) + (levies.mo_e4 if MICROGRID in ends else 0)


def envelope(pair_e4: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(sell, buy): the least of each row, and what the columns need beyond it; tight for additive matrices."""
    sell = tuple(min(row) for row in pair_e4)
    buy = tuple(max(row[at] - least for row, least in zip(pair_e4, sell, strict=True)) for at in range(len(pair_e4)))
    return sell, buy


NO_FEES = fee_table({}, [[0]], Levies())
