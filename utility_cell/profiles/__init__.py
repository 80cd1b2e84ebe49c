"""Real quarter-hour profiles of 2016 (SimBench), as fractions of rated power in 1e-4."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from cosmos_wire.errors import ToolError

SCALE = 10_000
QUARTERS_PER_DAY = 96
QUARTERS_PER_WEEK = 7 * QUARTERS_PER_DAY
YEAR_START = date(2016, 1, 1)
FILE = Path(__file__).parent / "simbench_2016.csv.gz"


@dataclass(frozen=True, slots=True)
class Profiles:
    """`series[name][quarter]`: 0..10,000 parts of the rated power; quarter 0 is 2016-01-01 00:00 UTC+1."""

    series: dict[str, tuple[int, ...]]

    def power_W(self, name: str, rated_W: int, quarter: int) -> int:
        """Mean power of a quarter hour."""
        return rated_W * self.column(name)[quarter] // SCALE

    def column(self, name: str) -> tuple[int, ...]:
        """One profile; an unknown name lists the known ones."""
        if name not in self.series:
            raise ToolError(f"profile {name!r} is not shipped; known: {', '.join(sorted(self.series))}")
        return self.series[name]

    @property
    def quarters(self) -> int:
        """How many quarter hours every series has."""
        return len(next(iter(self.series.values())))


@lru_cache(maxsize=1)
def load_profiles() -> Profiles:
    """Read the shipped file (0.3 s)."""
    with gzip.open(FILE, "rt", newline="") as file:
        rows = csv.reader(file)
        names = next(rows)[1:]
        values = zip(*([int(cell) for cell in row[1:]] for row in rows), strict=True)
        return Profiles(dict(zip(names, values, strict=True)))


def first_quarter(day: date, quarter: int = 0, slots: int = 0) -> int:
    """Quarter index of a quarter hour of a day of 2016, at which `slots` quarter hours begin (0: a day that repeats).

    A week of history has to lie before the day, and the quarter hours before the year's end; raises ToolError.
    """
    index, end = (day - YEAR_START).days * QUARTERS_PER_DAY, load_profiles().quarters
    if not QUARTERS_PER_WEEK <= index <= end - QUARTERS_PER_DAY:
        raise ToolError(f"profiles cover 2016-01-08 to 2016-12-31 (the forecast needs a week before), got {day}")
    if not 0 <= quarter < QUARTERS_PER_DAY:
        raise ToolError(f"quarter hour of the day: expected 0 to {QUARTERS_PER_DAY - 1}, got {quarter}")
    wanted, left = min(slots or QUARTERS_PER_DAY, QUARTERS_PER_DAY), end - index - quarter
    if wanted > left:
        raise ToolError(
            f"profiles end with 2016: expected at most {left} slots from quarter hour {quarter} on, got {wanted}"
        )
    return index + quarter
