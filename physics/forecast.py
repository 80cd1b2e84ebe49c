"""The unscented transform: mean and covariance of what a model makes of uncertain inputs (Julier and Uhlmann, 1997).

    x_0 = m,  x_+-i = m +- (sqrt(n / (1 - W_0) Sigma))_i,  W_i = (1 - W_0) / (2n),  2n + 1 runs of the model

Exact for linear models in mean and covariance, for quadratic ones in the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from physics.errors import ModelError
from physics.powerflow import Floats

TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and covariance."""

    mean: Floats
    covariance: Floats

    def bounds(self, deviations: float) -> tuple[Floats, Floats]:
        """Mean minus and plus so many standard deviations."""
        spread = deviations * np.sqrt(np.maximum(np.diag(self.covariance), 0))
        return self.mean - spread, self.mean + spread


def sigma_points(inputs: Moments, weight: float = 0.0) -> tuple[Floats, Floats]:
    """The 2n + 1 points, a row each, and their weights; raises ModelError for no covariance."""
    if not weight < 1:
        raise ModelError(f"the weight of the middle has to be below 1, got {weight}")
    n = len(inputs.mean)
    root = _root(inputs.covariance * n / (1 - weight))
    points = np.vstack([inputs.mean, inputs.mean + root.T, inputs.mean - root.T])
    weights = np.full(2 * n + 1, (1 - weight) / (2 * n))
    weights[0] = weight
    return points, weights


def transform(model: Callable[[Floats], Floats], inputs: Moments, weight: float = 0.0) -> Moments:
    """Moments of model(x) for uncertain x."""
    points, weights = sigma_points(inputs, weight)
    results = np.array([model(point) for point in points])
    mean = weights @ results
    spread = results - mean
    return Moments(mean=mean, covariance=(weights[:, None] * spread).T @ spread)


def _root(covariance: Floats) -> Floats:
    """A square root of a covariance, singular ones too."""
    values, vectors = np.linalg.eigh(covariance)
    if np.min(values) < -TINY * max(1.0, float(np.max(np.abs(values)))) or not np.allclose(covariance, covariance.T):
        raise ModelError("a covariance has to be symmetric without negative eigenvalues")
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
