"""Where a slot's price and each bus's power are expected to lie: the unscented transform over the forecast profiles.

The price is that of an auction in which buyers bid evenly over the upper part of the band and sellers ask evenly over
the lower one (`utility_cell.bidding`), with as much demand and supply as the cells' forecast has:

    demand (cap - p) / part = supply (p - floor) / part, each share between 0 and 1

It is neither linear nor smooth in the profiles, which is what the transform is for; bus powers are linear, and exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from physics.forecast import Moments, transform
from utility_cell.bidding import Band
from utility_cell.fleet import CellSpec
from utility_cell.forecast.forecaster import Forecaster
from utility_cell.forecast.models import Floats
from utility_cell.profiles import SCALE
from utility_cell.world import MWH_PER_W_QUARTER

DEVIATIONS = 2.0  # bounds are mean -/+ so many standard deviations
PART = 0.6  # of the band that bids, and asks, spread over


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Bounds of one slot: the clearing price, net withdrawals by bus and of all, mWh."""

    price_low_e4: int
    price_high_e4: int
    buses: Mapping[int, tuple[int, int]]
    total: tuple[int, int]

    def cap_e4(self, band: Band, marginal_e4: int | None) -> int:
        """The slot's cap: the highest marginal price or bound of the price, whichever is more, within the tariff.

        While the microgrid may be short the tariff stands: what it lacks is bought from the main grid at the cap, and
        a lower one wouldn't pay for it. So it does before any marginal price is certified.
        """
        if marginal_e4 is None or self.total[1] > 0:
            return band.cap_e4
        return min(band.cap_e4, max(band.floor_e4, marginal_e4, self.price_high_e4))


@dataclass(slots=True, kw_only=True)
class Bounds:
    """Bounds for the slots of one fleet."""

    forecaster: Forecaster
    cells: Sequence[CellSpec]
    deviations: float = DEVIATIONS
    shares: Floats = field(init=False)  # mWh of each cell for a part of each profile
    buses: tuple[int, ...] = field(init=False)
    at_bus: Floats = field(init=False)  # 1 where a cell stands at a bus

    def __post_init__(self) -> None:
        """The matrices that lead from profiles to cells to buses."""
        names = {name: at for at, name in enumerate(self.forecaster.series)}
        self.buses = tuple(sorted({cell.bus for cell in self.cells}))
        self.shares = np.zeros((len(self.cells), len(names)))
        self.at_bus = np.zeros((len(self.buses), len(self.cells)))
        for number, cell in enumerate(self.cells):
            self.at_bus[self.buses.index(cell.bus), number] = 1
            for sign, assets in ((1, cell.loads), (-1, cell.sources)):
                for asset in assets:
                    self.shares[number, names[asset.profile]] += sign * asset.rated_W * MWH_PER_W_QUARTER / SCALE

    def of(self, quarter: int, band: Band) -> Expected:
        """The bounds of a quarter hour."""
        moments = self.forecaster.outlook(quarter).moments
        found = transform(lambda parts: self._model(np.clip(parts, 0, SCALE), band), moments)
        low, high = found.bounds(self.deviations)
        exact = Moments(mean=found.mean[1:], covariance=found.covariance[1:, 1:]).bounds(self.deviations)
        lows, highs = (np.rint(side).astype(int).tolist() for side in exact)
        return Expected(
            price_low_e4=max(band.floor_e4, round(float(low[0]))),
            price_high_e4=min(band.cap_e4, round(float(high[0]))),
            buses={bus: (lows[at], highs[at]) for at, bus in enumerate(self.buses)},
            total=(lows[-1], highs[-1]),
        )

    def _model(self, parts: Floats, band: Band) -> Floats:
        """[price, net by bus, net of all] for parts of the profiles."""
        cells = self.shares @ parts
        price = price_e4(float(np.sum(cells[cells > 0])), float(-np.sum(cells[cells < 0])), band)
        return np.array([price, *(self.at_bus @ cells), np.sum(cells)])


def price_e4(demand: float, supply: float, band: Band) -> float:
    """Where demand and supply of a band meet; 0 of both: its middle."""
    part = PART * band.width_e4
    low, high = float(band.floor_e4), float(band.cap_e4)
    if demand + supply <= 0:
        return (low + high) / 2
    for _ in range(50):  # halving: what sellers give grows with the price, what buyers take falls
        middle = (low + high) / 2
        given = supply * min(1.0, (middle - band.floor_e4) / part)
        taken = demand * min(1.0, (band.cap_e4 - middle) / part)
        low, high = (middle, high) if given < taken else (low, middle)
    return (low + high) / 2
