"""The scout: a linear head that learns from labels only, and how far it can be trusted.

A task model that also learns from the pool is unsure of unusual images rather than of informative
ones. The scout is not shown to anybody; it only helps to choose what to ask.
"""

from dataclasses import dataclass

import numpy as np

from dgaal_cli.features.kernel import FeatureRows, Floats, Ids, blocks
from dgaal_cli.task_heads.folds import Labels, labels_of
from dgaal_cli.task_heads.logistic import LinearHead, fit_logistic, in_own_span, softmax

PENALTY = 10.0
"""Inverse strength of the penalty on the weights for rows of length 1."""
_QUANTILE = 1.645
"""Of the normal distribution: a share of 0.05 lies above."""


@dataclass(frozen=True, slots=True, eq=False)
class Scout:
    """A linear head for the classes that have labels."""

    head: LinearHead
    """For these K classes."""
    competence: float
    """0..1: accuracy on held-out labels as far as they prove it, from chance to certainty."""

    def probabilities(self, rows: FeatureRows) -> Floats:
        """Return probabilities (n, K) for rows (n, D) of length 1."""
        found = np.empty((len(rows), len(self.head.bias)))
        for part in blocks(len(rows)):
            found[part] = softmax(self.head.logits(rows[part].astype(np.float64)))
        return found


def fit_scout(rows: FeatureRows, labels: Ids, groups: Ids | None = None) -> Scout:
    """Fit the scout to the labels of a pool.

    Args:
        rows: (N, D), of length 1.
        labels: Class of each row, (N,); -1 without a label. Two classes at least have labels.
        groups: Group of each row, (N,), which is held out as a whole; None: no groups.
    """
    positions = np.flatnonzero(labels >= 0)
    own = np.full(len(labels), -1)
    classes, own[positions] = np.unique(labels[positions], return_inverse=True)
    known = labels_of(own, len(classes), groups)
    points = rows[known.positions].astype(np.float64)
    targets = np.eye(len(classes))[known.classes]
    head = fit_logistic(points, targets, PENALTY)
    return Scout(head, _competence(points, targets, known))


def wilson_bound(share: float, count: int) -> float:
    """Return the lower end of the one-sided 95 % confidence interval of a share (Wilson 1927)."""
    squared = _QUANTILE**2
    spread = _QUANTILE * np.sqrt(share * (1 - share) / count + squared / (4 * count**2))
    return float((share + squared / (2 * count) - spread) / (1 + squared / count))


def _competence(points: Floats, targets: Floats, known: Labels) -> float:
    """Return how far held-out labels prove that the scout is better than chance, 0..1.

    Each class counts the same in its accuracy.
    """
    held = known.held_out
    if not known.has_folds:
        return 0.0
    predicted, points = np.empty(len(known.classes), np.int64), in_own_span(points)
    for fold in np.unique(known.folds[held]).tolist():
        inside = known.folds == fold
        head = fit_logistic(points, targets * ~inside[:, None], PENALTY)
        predicted[inside] = head.logits(points[inside]).argmax(axis=1)
    truth = known.classes[held]
    is_right = predicted[held] == truth
    shares = [is_right[truth == own].mean() for own in np.unique(truth)]
    chance = 1 / known.count
    bound = wilson_bound(float(np.mean(shares)), len(held))
    return max(0.0, (bound - chance) / (1 - chance))
