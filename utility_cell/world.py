"""The physical side of a simulated day: what every meter reads. Agents see it only through meters and history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from utility_cell.bidding import MIN_ORDER_mWh
from utility_cell.fleet import Asset, CellSpec
from utility_cell.profiles import QUARTERS_PER_DAY, QUARTERS_PER_WEEK, Profiles

MWH_PER_W_QUARTER = 250  # a quarter hour at 1 W

# What a cell expects to draw in a quarter hour of what it can't steer, mWh, from history alone.
Forecaster = Callable[[Profiles, CellSpec, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Maps a market slot to a quarter hour of the profiles: the first slot stands for the day's first."""

    first_slot: int
    first_quarter: int
    slots: int = 0  # how many slots are traded; 0: no end

    def covers(self, slot: int) -> bool:
        """Whether the slot belongs to what is traded."""
        return slot >= self.first_slot and (self.slots == 0 or slot < self.first_slot + self.slots)

    def quarter(self, slot: int) -> int:
        """Profile row of a slot; the day repeats."""
        return self.first_quarter + (slot - self.first_slot) % QUARTERS_PER_DAY


def net_mWh(profiles: Profiles, cell: CellSpec, quarter: int) -> int:
    """Energy that the cell's plain loads and sources draw in a quarter hour; negative when they feed in."""
    drawn = sum(profiles.power_W(asset.profile, asset.rated_W, quarter) for asset in cell.loads)
    fed = sum(profiles.power_W(asset.profile, asset.rated_W, quarter) for asset in cell.sources)
    return (drawn - fed) * MWH_PER_W_QUARTER


def forecast_mWh(profiles: Profiles, cell: CellSpec, quarter: int) -> int:
    """Seasonal naive forecast of `net_mWh`, the baseline that other forecasts have to beat.

    Loads as a week before, sun as a day before, wind as in the last metered quarter hour: when a slot's orders are due,
    the one before it is still being delivered, so that is two quarter hours before.
    """
    drawn = sum(profiles.power_W(a.profile, a.rated_W, quarter - QUARTERS_PER_WEEK) for a in cell.loads)
    fed = sum(profiles.power_W(a.profile, a.rated_W, quarter - _season(a)) for a in cell.sources)
    return (drawn - fed) * MWH_PER_W_QUARTER


def unordered_mWh(net_mWh: int) -> int:
    """The part of a forecast for which no order comes: the utility cell's baseline has it."""
    return net_mWh if abs(net_mWh) < MIN_ORDER_mWh else 0


def _season(asset: Asset) -> int:
    return QUARTERS_PER_DAY if asset.profile.startswith("PV") else 2
