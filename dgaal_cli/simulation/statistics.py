"""Statistics of a few trials, with confidence intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds."""

    mean: float
    interval: tuple[float, float] | None
    """At ``CONFIDENCE``, by Student's t; None for a single seed."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Accuracy over annotations of one trial, or the mean of several."""

    annotations: tuple[float, ...]
    """Ascending."""
    accuracies: tuple[float, ...]


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and t interval, ``mean ± t(n - 1) s / sqrt(n)``, of one value or more."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean=mean, interval=None, count=len(values))
    from scipy import stats

    quantile = float(cast("Any", stats).t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1))
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(mean=mean, interval=(mean - half, mean + half), count=len(values))


def aubc(curve: Curve) -> float:
    """Return the area under the budget curve: trapezoids over annotations, divided by their range.

    This is the mean accuracy over the annotations, 0..1; for a single point, its accuracy.
    """
    x, y = curve.annotations, curve.accuracies
    if len(x) < 2 or x[-1] == x[0]:
        return y[-1]
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def accuracy_at(curve: Curve, annotations: float) -> float | None:
    """Return the linearly interpolated accuracy at a count; None outside of the curve."""
    x, y = curve.annotations, curve.accuracies
    if not x[0] <= annotations <= x[-1]:
        return None
    return float(np.interp(annotations, x, y))


def aubc_difference(ours: Curve, theirs: Curve) -> float | None:
    """Return the AUBC of ``ours`` minus that of ``theirs``, over their common annotations.

    A method may ask fewer images than its query size, and areas over different ranges are not
    comparable. None if the curves have no annotations in common.
    """
    low = max(ours.annotations[0], theirs.annotations[0])
    high = min(ours.annotations[-1], theirs.annotations[-1])
    if low > high:
        return None
    return aubc(_between(ours, low, high)) - aubc(_between(theirs, low, high))


def _between(curve: Curve, low: float, high: float) -> Curve:
    points = zip(curve.annotations, curve.accuracies, strict=True)
    inner = [(x, y) for x, y in points if low < x < high]
    ends = [(x, float(np.interp(x, curve.annotations, curve.accuracies))) for x in (low, high)]
    annotations, accuracies = zip(ends[0], *inner, ends[1], strict=True)
    return Curve(annotations=annotations, accuracies=accuracies)


def paired_difference(ours: Mapping[int, Curve], theirs: Mapping[int, Curve]) -> Estimate | None:
    """Return the mean difference in AUBC over common seeds; None without a common seed.

    Pairing removes the effect of the first labels from the comparison.
    """
    common = sorted(ours.keys() & theirs.keys())
    differences = [aubc_difference(ours[seed], theirs[seed]) for seed in common]
    values = [value for value in differences if value is not None]
    return estimate(values) if values else None


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean of curves, point by point, for points that all curves have."""
    annotations = zip(*(curve.annotations for curve in curves), strict=False)
    accuracies = zip(*(curve.accuracies for curve in curves), strict=False)
    return Curve(
        annotations=tuple(float(np.mean(point)) for point in annotations),
        accuracies=tuple(float(np.mean(point)) for point in accuracies),
    )


def annotations_at(curve: Curve, accuracy: float) -> float | None:
    """Return the annotations at which a curve first reaches an accuracy, by linear interpolation.

    Returns:
        Those of the first point if the curve starts above; None if it never reaches the accuracy.
    """
    x, y = curve.annotations, curve.accuracies
    if y[0] >= accuracy:
        return x[0]
    for i in range(1, len(y)):
        if y[i] >= accuracy:
            return x[i - 1] + (x[i] - x[i - 1]) * (accuracy - y[i - 1]) / (y[i] - y[i - 1])
    return None


def labels_saved(ours: Curve, theirs: Curve) -> float:
    """Return how many fewer annotations ``ours`` needs than ``theirs`` for the same accuracy.

    The accuracy is the lower one of both last points. A curve has reached it if it stays at or
    above it until the end, so a short peak does not count. Negative if ``ours`` needs more.
    """
    target = min(ours.accuracies[-1], theirs.accuracies[-1])
    return _annotations_to_stay_at(theirs, target) - _annotations_to_stay_at(ours, target)


def _annotations_to_stay_at(curve: Curve, accuracy: float) -> float:
    """Return the annotations after which a curve stays at or above ``accuracy``."""
    x, y = curve.annotations, curve.accuracies
    for i in range(len(y) - 2, -1, -1):
        if y[i] < accuracy:
            return x[i] + (x[i + 1] - x[i]) * (accuracy - y[i]) / (y[i + 1] - y[i])
    return x[0]
