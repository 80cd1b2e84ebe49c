"""Mean and covariance of what cells draw in a slot, from the history of the profiles that they consist of.

Each profile has a model, fitted anew every week on the eight weeks before. The covariance is that of the errors which
the models of all profiles made together at the same time of day in the weeks before, so that clouds which darken all
roofs at once stay in it. A cell is a weighted sum of profiles, and so is a bus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from physics.forecast import Moments
from utility_cell.fleet import CellSpec
from utility_cell.forecast.models import HORIZON, LOOK_BACK, Floats, Integers, Ridge, fit, naive
from utility_cell.profiles import QUARTERS_PER_DAY, QUARTERS_PER_WEEK, SCALE, Profiles
from utility_cell.world import MWH_PER_W_QUARTER

ERROR_WEEKS = 2  # whose errors the covariance is made of
TRAIN_MIN = 2 * QUARTERS_PER_WEEK
BLOCKS = 8  # of a day: errors of the same block are alike
GUESS = 0.1  # standard deviation of an error, of the rated power
PER_BLOCK = QUARTERS_PER_DAY // BLOCKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All profiles in one quarter hour: parts of rated power."""

    names: tuple[str, ...]
    moments: Moments


@dataclass(frozen=True, slots=True, kw_only=True)
class _Week:
    """What holds for the quarter hours of one week: models by profile (none: too little history), errors."""

    models: Mapping[str, Ridge]
    covariances: tuple[Floats, ...]  # by block of the day


@dataclass(slots=True, kw_only=True)
class Forecaster:
    """Forecasts of cells; `baseline` keeps to the seasonal naive one. Callable like `world.forecast_mWh`."""

    profiles: Profiles
    baseline: bool = False
    series: dict[str, Floats] = field(init=False)
    weeks: dict[int, _Week] = field(default_factory=dict)
    outlooks: dict[int, Outlook] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The profiles as arrays."""
        self.series = {name: np.array(values, dtype=float) for name, values in self.profiles.series.items()}

    def __call__(self, profiles: Profiles, cell: CellSpec, quarter: int) -> int:
        """The forecast that agents use in the place of `world.forecast_mWh`; profiles are the forecaster's own."""
        assert profiles is self.profiles  # another history would need another forecaster
        return self.net_mWh(cell, quarter)

    def net_mWh(self, cell: CellSpec, quarter: int) -> int:
        """Energy that a cell's plain loads and sources are expected to draw; negative when they feed in."""
        outlook = self.outlook(quarter)
        rounded: list[int] = np.rint(outlook.moments.mean).astype(int).tolist()
        parts = dict(zip(outlook.names, rounded, strict=True))
        drawn = sum(asset.rated_W * parts[asset.profile] // SCALE for asset in cell.loads)
        fed = sum(asset.rated_W * parts[asset.profile] // SCALE for asset in cell.sources)
        return (drawn - fed) * MWH_PER_W_QUARTER

    def nets(self, groups: Sequence[Iterable[CellSpec]], quarter: int) -> Moments:
        """Mean and covariance of what each group of cells draws (a bus, say), mWh."""
        outlook = self.outlook(quarter)
        place = {name: at for at, name in enumerate(outlook.names)}
        shares = np.zeros((len(groups), len(place)))
        for row, cells in zip(shares, groups, strict=True):
            for cell in cells:
                for sign, assets in ((1, cell.loads), (-1, cell.sources)):
                    for asset in assets:
                        row[place[asset.profile]] += sign * asset.rated_W * MWH_PER_W_QUARTER / SCALE
        moments = outlook.moments
        return Moments(mean=shares @ moments.mean, covariance=shares @ moments.covariance @ shares.T)

    def outlook(self, quarter: int) -> Outlook:
        """All profiles in a quarter hour; nothing after `quarter` - HORIZON is looked at."""
        if quarter not in self.outlooks:
            week = self._week(quarter // QUARTERS_PER_WEEK)
            at = np.array([quarter])
            mean = np.array([self._predict(week.models, name, at)[0] for name in self.series])
            block = quarter % QUARTERS_PER_DAY // PER_BLOCK
            moments = Moments(mean=mean, covariance=week.covariances[block])
            self.outlooks[quarter] = Outlook(names=tuple(self.series), moments=moments)
        return self.outlooks[quarter]

    def _predict(self, models: Mapping[str, Ridge], name: str, at: Integers) -> Floats:
        series = self.series[name]
        return models[name].predict(series, at) if name in models else naive(series, at, name)

    def _week(self, number: int) -> _Week:
        if number not in self.weeks:
            first = number * QUARTERS_PER_WEEK
            self.weeks[number] = _Week(models=self._fitted(first), covariances=self._errors(first))
        return self.weeks[number]

    def _fitted(self, origin: int) -> dict[str, Ridge]:
        if self.baseline or origin - HORIZON < LOOK_BACK + TRAIN_MIN:
            return {}
        return {name: fit(series, origin) for name, series in self.series.items()}

    def _errors(self, origin: int) -> tuple[Floats, ...]:
        """Covariance of errors by block of the day, by models that were fitted before the weeks they are judged by.

        Errors are taken around zero: a bias counts as uncertainty. Before there are any, a wide guess stands in.
        """
        start = max(QUARTERS_PER_WEEK, origin - ERROR_WEEKS * QUARTERS_PER_WEEK)
        if origin - HORIZON < start + QUARTERS_PER_DAY:
            return (np.eye(len(self.series)) * (GUESS * SCALE) ** 2,) * BLOCKS
        models, at = self._fitted(start), np.arange(start, origin - HORIZON)
        errors = np.column_stack([self._predict(models, name, at) - self.series[name][at] for name in self.series])
        blocks = at % QUARTERS_PER_DAY // PER_BLOCK
        return tuple(
            np.asarray(errors[blocks == k].T @ errors[blocks == k] / np.sum(blocks == k)) for k in range(BLOCKS)
        )
