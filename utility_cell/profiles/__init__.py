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


def first_quarter(day: date) -> int:
    """Quarter index at which a day of 2016 begins; a week of history has to lie before it."""
    index = (day - YEAR_START).days * QUARTERS_PER_DAY
    last = load_profiles().quarters - QUARTERS_PER_DAY
    if not QUARTERS_PER_WEEK <= index <= last:
        raise ToolError(f"profiles cover 2016-01-08 to 2016-12-31 (the forecast needs a week before), got {day}")
    return index
