"""What can be said from a few trials, with the interval that goes with it."""

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
    """At ``CONFIDENCE``, by Student's t; None for a single seed, which tells nothing of spread."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Accuracy over annotations of one trial, or the mean of several."""

    annotations: tuple[float, ...]
    """Ascending."""
    accuracies: tuple[float, ...]


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and t interval: ``mean ± t(n - 1) s / sqrt(n)``.

    Args:
        values: One a seed, at least one.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean=mean, interval=None, count=len(values))
    from scipy import stats

    quantile = float(cast("Any", stats).t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1))
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(mean=mean, interval=(mean - half, mean + half), count=len(values))


def aubc(curve: Curve) -> float:
    """Area under the budget curve: trapezoids over annotations, divided by their range.

    It is the mean accuracy over the labeling, 0..1; of a single point, its accuracy.
    """
    x, y = curve.annotations, curve.accuracies
    if len(x) < 2 or x[-1] == x[0]:
        return y[-1]
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def accuracy_at(curve: Curve, annotations: float) -> float | None:
    """Return the accuracy at a count, between two points by line; None outside of the curve."""
    x, y = curve.annotations, curve.accuracies
    if not x[0] <= annotations <= x[-1]:
        return None
    return float(np.interp(annotations, x, y))


def aubc_difference(ours: Curve, theirs: Curve) -> float | None:
    """Return how much larger the AUBC of ``ours`` is, over the annotations that both curves have.

    A method may spend less than its query size, and areas over other ranges say nothing together.
    None where the curves have no annotations in common.
    """
    low = max(ours.annotations[0], theirs.annotations[0])
    high = min(ours.annotations[-1], theirs.annotations[-1])
    if low > high:
        return None
    return aubc(_between(ours, low, high)) - aubc(_between(theirs, low, high))


def _between(curve: Curve, low: float, high: float) -> Curve:
    inner = [(x, y) for x, y in zip(curve.annotations, curve.accuracies, strict=True)]
    inner = [(x, y) for x, y in inner if low < x < high]
    ends = [(x, float(np.interp(x, curve.annotations, curve.accuracies))) for x in (low, high)]
    points = [ends[0], *inner, ends[1]]
    return Curve(annotations=tuple(x for x, _ in points), accuracies=tuple(y for _, y in points))


def paired_difference(ours: Mapping[int, Curve], theirs: Mapping[int, Curve]) -> Estimate | None:
    """Return the mean difference in AUBC over the seeds that both have; None without one.

    Pairing takes the luck of the first labels out of the comparison.
    """
    common = sorted(ours.keys() & theirs.keys())
    found = [aubc_difference(ours[seed], theirs[seed]) for seed in common]
    values = [value for value in found if value is not None]
    return estimate(values) if values else None


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Average curves point by point; points that not all of them reach are left out."""
    points = min(len(curve.annotations) for curve in curves)
    return Curve(
        annotations=tuple(
            float(np.mean([c.annotations[i] for c in curves])) for i in range(points)
        ),
        accuracies=tuple(float(np.mean([c.accuracies[i] for c in curves])) for i in range(points)),
    )


def annotations_at(curve: Curve, accuracy: float) -> float | None:
    """Return the annotations at which a curve first reaches an accuracy, between points by line.

    Returns:
        The first point's where the curve begins above; None where it never gets there.
    """
    x, y = curve.annotations, curve.accuracies
    if y[0] >= accuracy:
        return x[0]
    for i in range(1, len(y)):
        if y[i] >= accuracy:
            return x[i - 1] + (x[i] - x[i - 1]) * (accuracy - y[i - 1]) / (y[i] - y[i - 1])
    return None


def labels_saved(ours: Curve, theirs: Curve) -> float:
    """Return how many annotations ``ours`` needs less than ``theirs`` for the same accuracy.

    The accuracy is the lower one of where both end, and each has reached it when it does not fall
    below any more: a curve that falls after a lucky peak saves nothing. Negative: it needs more.
    """
    target = min(ours.accuracies[-1], theirs.accuracies[-1])
    return _annotations_for_good(theirs, target) - _annotations_for_good(ours, target)


def _annotations_for_good(curve: Curve, accuracy: float) -> float:
    """Return from where on a curve that ends at ``accuracy`` or above never lies below it."""
    x, y = curve.annotations, curve.accuracies
    for i in range(len(y) - 2, -1, -1):
        if y[i] < accuracy:
            return x[i] + (x[i + 1] - x[i]) * (accuracy - y[i]) / (y[i + 1] - y[i])
    return x[0]
