"""Calibrated probabilities: one temperature, fitted to held-out predictions."""

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import Floats, Ids
from dgaal_cli.task_heads.logistic import softmax

_FLOOR = 1e-6
"""Probabilities below it count as this much: a single wrong answer has a finite loss."""
_TEMPERATURES: Floats = np.geomspace(0.05, 20.0, 121)
_BINS = 10


def sharpened(probabilities: Floats, temperature: float) -> Floats:
    """Return probabilities (n, C) whose logarithms were divided by a temperature."""
    return softmax(np.log(np.maximum(probabilities, _FLOOR)) / temperature)


def losses(probabilities: Floats, labels: Ids) -> Floats:
    """Return the cross entropy (n,) of each prediction, in nats."""
    return -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _FLOOR))


def fit_temperature(probabilities: Floats, labels: Ids, weights: Floats) -> float:
    """Return the temperature in 0.05..20 with the lowest loss on held-out predictions.

    Args:
        probabilities: (n, C).
        labels: (n,).
        weights: (n,), weight of each prediction.
    """
    means = [
        float(weights @ losses(sharpened(probabilities, temperature), labels))
        for temperature in _TEMPERATURES.tolist()
    ]
    return float(_TEMPERATURES[int(np.argmin(means))])


def expected_calibration_error(probabilities: Floats, labels: Ids) -> float:
    """Return the mean gap between confidence and accuracy, in ten bins of equal width, 0..1."""
    confidence = probabilities.max(axis=1)
    is_right: npt.NDArray[np.bool_] = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, confidence - is_right, minlength=_BINS)
    return float(np.abs(gaps).sum() / max(len(labels), 1))
