"""Likely wrong labels, by confident learning.

Northcutt, Jiang, Chuang 2021, "Confident learning: estimating uncertainty in dataset labels"
(JAIR 70, arXiv 1911.00068). It needs predictions by models that did not see the label.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import Floats, Ids


@dataclass(frozen=True, slots=True, eq=False)
class ConfidentLabels:
    """What out-of-sample predictions say of labels."""

    suggested: Ids
    """(n,): the class that the model confidently predicts; the given one where it has no other."""
    quality: Floats
    """(n,), 0..1: probability of the given label."""
    is_suspect: npt.NDArray[np.bool_]
    """(n,): whether another class is confidently predicted."""

    def worst_first(self) -> Ids:
        """Return the numbers of the suspect labels, the lowest quality first."""
        suspects = np.flatnonzero(self.is_suspect)
        return suspects[np.argsort(self.quality[suspects], kind="stable")]


def confident_labels(predicted: Floats, given: Ids) -> ConfidentLabels:
    """Compare labels with predictions of models that did not see them.

    A class counts as confidently predicted if its probability reaches the mean probability of
    that class over the images that have its label (section 3.1). Among several the most probable
    counts. A label is suspect if that class is another one and is more probable than the label.

    Args:
        predicted: Out-of-sample probabilities (n, C).
        given: Labels (n,), 0..C - 1.
    """
    counts = np.bincount(given, minlength=predicted.shape[1])
    own = predicted[np.arange(len(given)), given]
    sums = np.bincount(given, own, minlength=predicted.shape[1])
    # A class without labels has no threshold, so it is never suggested.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(predicted >= thresholds, predicted, -1.0)
    best = confident.argmax(axis=1)
    highest = confident[np.arange(len(given)), best]
    is_suspect = (best != given) & (highest > own)
    return ConfidentLabels(np.where(is_suspect, best, given), own, is_suspect)
