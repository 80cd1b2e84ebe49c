"""Forecasts of cells and buses with their uncertainty; docs/forecast.md says which model is the default and why."""

from utility_cell.forecast.bounds import Bounds, Expected
from utility_cell.forecast.forecaster import Forecaster, Outlook

__all__ = ["Bounds", "Expected", "Forecaster", "Outlook"]
