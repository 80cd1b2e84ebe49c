"""Forecasts of one profile: seasonal naive, and a ridge regression that has to beat it.

All values are parts of the rated power, 0..10,000 (`utility_cell.profiles`). A forecast of quarter hour t knows what
was metered up to t - HORIZON: when a slot's orders are due, the one before it is still being delivered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utility_cell.profiles import QUARTERS_PER_DAY, QUARTERS_PER_WEEK, SCALE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
HORIZON = 2  # quarter hours
DAYS = 7  # of which the mean at the same time of day is a feature
TRAIN = 8 * QUARTERS_PER_WEEK
LOOK_BACK = QUARTERS_PER_WEEK + HORIZON + QUARTERS_PER_DAY  # the oldest value that a feature needs
RIDGE = 1e-3  # of the number of rows, on features of variance 1
RATIO_MAX = 3.0
DARK = 1.0  # parts: below it a source is taken to be off


def naive(series: Floats, at: Integers, name: str) -> Floats:
    """As a week before (loads), a day before (sun), in the last metered quarter hour (wind)."""
    if name.startswith("PV"):
        return series[at - QUARTERS_PER_DAY]
    return series[at - (HORIZON if name.startswith("WP") else QUARTERS_PER_WEEK)]


def features(series: Floats, at: Integers) -> Floats:
    """A row for each quarter hour: what was metered last, a day and a week before, means, time of day and week."""
    usual, usual_then = _usual(series, at), _usual(series, at - HORIZON)
    last = series[at - HORIZON]
    ratio = np.minimum(last / np.maximum(usual_then, DARK), RATIO_MAX)
    lags = [HORIZON, HORIZON + 1, HORIZON + 2, HORIZON + 4, HORIZON + 8]
    lags += [QUARTERS_PER_DAY - 1, QUARTERS_PER_DAY, QUARTERS_PER_DAY + 1, QUARTERS_PER_DAY + HORIZON]
    lags += [2 * QUARTERS_PER_DAY, QUARTERS_PER_WEEK, QUARTERS_PER_WEEK + HORIZON]
    angle = 2 * np.pi * (at % QUARTERS_PER_DAY) / QUARTERS_PER_DAY
    weekend = (at // QUARTERS_PER_DAY + 4) % 7 >= 5  # 1 January 2016 was a Friday
    columns = [series[at - lag] for lag in lags]
    columns += [usual, usual_then, usual * ratio]
    columns += [wave(k * angle) for k in (1, 2) for wave in (np.sin, np.cos)]
    return np.column_stack([*columns, weekend.astype(float)])


def _usual(series: Floats, at: Integers) -> Floats:
    """Mean of the last days at the same time."""
    return np.asarray(np.mean([series[at - day * QUARTERS_PER_DAY] for day in range(1, DAYS + 1)], axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """A fitted regression."""

    centre: Floats
    scale: Floats
    weights: Floats
    offset: float

    def predict(self, series: Floats, at: Integers) -> Floats:
        """Forecasts of quarter hours, within what the profile can be; dark hours stay dark."""
        raw = (features(series, at) - self.centre) / self.scale @ self.weights + self.offset
        dark = np.max([series[at - day * QUARTERS_PER_DAY] for day in range(1, DAYS + 1)], axis=0) < DARK
        return np.where(dark & (series[at - HORIZON] < DARK), 0.0, np.clip(raw, 0, SCALE))


def fit(series: Floats, origin: int) -> Ridge:
    """Learn from the weeks before quarter hour `origin`; nothing from `origin` - HORIZON on is looked at."""
    end = origin - HORIZON
    at = np.arange(max(LOOK_BACK, end - TRAIN), end)
    rows, target = features(series, at), series[at]
    centre, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    rows = (rows - centre) / scale
    offset = float(target.mean())
    gram = rows.T @ rows + RIDGE * len(at) * np.eye(rows.shape[1])
    weights = np.linalg.solve(gram, rows.T @ (target - offset))
    return Ridge(centre=centre, scale=scale, weights=weights, offset=offset)
