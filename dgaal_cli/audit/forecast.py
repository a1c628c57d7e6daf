"""The learning curve ahead: how accurate would more labels make the model?

The error after n labels is taken as a power law that falls to a floor, ``floor + scale n^-power``:
the form that learning curves are usually fitted by (Viering & Loog 2023, "The shape of learning
curves"). Its three parameters are not estimated but weighted: each of many curves counts by how
well it agrees with what was measured, so few or noisy measurements give a wide interval. Low
floors are tried more densely.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.audit.estimate import Interval

MIN_POINTS = 3
"""With fewer measured models there is no forecast."""
COVERED = 0.9
"""Weight of the curves that an interval of the forecast holds."""
_JITTER = 0.01
"""Standard deviation of a trained model's accuracy around the curve, 0..1."""
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """Accuracy of one model."""

    labels: int
    """Labels that it learned from; at least 1."""
    accuracy: float
    """0..1."""
    deviation: float
    """Standard error of ``accuracy``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsAhead:
    """Labels that a goal needs in addition."""

    median: float
    """Infinite if the curve likely ends below the goal."""
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Weighted curves."""

    labels: int
    """Labels of the newest model."""
    weights: _Floats
    """(C,), of sum 1."""
    errors: _Floats
    """(C,): error of each curve at ``labels``, 0..1."""
    floors: _Floats
    """(C,): error that each curve falls to."""
    powers: _Floats
    """(C,)."""

    def accuracy(self, more: int) -> Interval:
        """Return the accuracy after ``more`` labels, with its interval."""
        return self._interval(1 - self._errors_after(more))

    def gain(self, more: int) -> Interval:
        """Return by how much ``more`` labels raise the accuracy, 0..1, with its interval."""
        return self._interval(self.errors - self._errors_after(more))

    def labels_to(self, target: float) -> LabelsAhead:
        """Return how many labels in addition to the current ones an accuracy needs."""
        above = 1 - target - self.floors
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            factor = ((self.errors - self.floors) / above) ** (1 / self.powers)
        more = np.where(above > 0, self.labels * (factor - 1), np.inf)
        more = np.where(self.errors <= 1 - target, 0.0, more)
        low, median, high = self._quantiles(more)
        return LabelsAhead(median=median, low=low, high=high)

    def _errors_after(self, more: int) -> _Floats:
        shrunk = (1 + more / self.labels) ** -self.powers
        return self.floors + (self.errors - self.floors) * shrunk

    def _interval(self, values: _Floats) -> Interval:
        low, median, high = self._quantiles(values)
        return Interval(value=median, low=low, high=high)

    def _quantiles(self, values: _Floats) -> tuple[float, float, float]:
        order = np.argsort(values)
        reached = np.cumsum(self.weights[order])
        shares = ((1 - COVERED) / 2, 0.5, (1 + COVERED) / 2)
        places = np.searchsorted(reached, shares).clip(max=len(order) - 1)
        low, median, high = values[order[places]].tolist()
        return low, median, high


def forecast(models: Sequence[MeasuredModel]) -> Forecast | None:
    """Weight curves by the measured models; None with fewer than ``MIN_POINTS`` label numbers.

    Args:
        models: In the order of their rounds.
    """
    if len({model.labels for model in models}) < MIN_POINTS:
        return None
    last = max(models, key=lambda model: model.labels)
    spread = 3 * math.hypot(last.deviation, _JITTER)
    ends = np.linspace(max(1e-4, 1 - last.accuracy - spread), min(1.0, 1 - last.accuracy + spread))
    shares, powers = 0.95 * np.linspace(0, 1, 20) ** 3, np.geomspace(0.05, 3.0, 40)
    errors, share, power = (each.ravel() for each in np.meshgrid(ends, shares, powers))
    floors = errors * share
    misfit = np.zeros(len(errors))
    for model in models:
        at = floors + (errors - floors) * (model.labels / last.labels) ** -power
        squared = model.deviation**2 + _JITTER**2
        misfit += (1 - model.accuracy - at) ** 2 / squared
    weights = np.exp(-(misfit - misfit.min()) / 2)
    return Forecast(
        labels=last.labels,
        weights=weights / weights.sum(),
        errors=errors,
        floors=floors,
        powers=power,
    )
