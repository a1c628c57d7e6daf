"""Label spreading: each label flows to similar images over the neighbor graph of the pool.

Zhou et al. 2004, "Learning with local and global consistency": ``F = (1 - alpha) (I - alpha S)^-1
Y``, where S is the normalized affinity and Y the labels, one column a class. The system is solved
by conjugate gradients until the residual is at most ``TOLERANCE`` of the right side, so the result
does not depend on a number of sweeps.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import Floats, Ids
from dgaal_cli.task_heads.affinity import Affinity

TOLERANCE = 1e-8
"""Residual of the solution, relative to the labels, per class."""
_MAX_STEPS = 2000
"""Never reached for alpha <= 0.999, whose system has a condition number below 2,000."""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Result of label spreading over N images."""

    values: Floats
    """(N, C): how much of each class reached an image, at least 0."""
    is_reached: npt.NDArray[np.bool_]
    """(N,): whether a path leads from a label to the image, and its values exceed the error of the
    solution. Other images have no probabilities: nothing is known of them."""

    def probabilities(self) -> Floats:
        """Return probabilities (N, C); all classes are equal where no label reaches."""
        values = np.where(self.is_reached[:, None], self.values, 1.0)
        return values / values.sum(axis=1, keepdims=True)


def spread_labels(affinity: Affinity, labeled: Ids, targets: Floats, alpha: float) -> Spread:
    """Spread labels over a graph.

    Args:
        affinity: Normalized affinity of N images.
        labeled: Positions (n,) of labeled images.
        targets: (n, C): share of each class in a label, such as one 1 in each row.
        alpha: Above 0, below 1: how far labels flow.
    """
    right = np.zeros((targets.shape[1], len(affinity)))
    right[:, labeled] = targets.T
    values = np.maximum((1 - alpha) * solve(affinity, right, alpha).T, 0.0)
    return Spread(values, affinity.reached_from(labeled) & is_significant(values, len(labeled)))


def is_significant(values: Floats, count: int) -> npt.NDArray[np.bool_]:
    """Return (N,): whether values (N, C) of ``count`` labels exceed the error of the solution."""
    return values.sum(axis=1) > TOLERANCE * np.sqrt(count * values.shape[1])


def solve(affinity: Affinity, right: Floats, alpha: float) -> Floats:
    """Return ``(I - alpha S)^-1`` times vectors (C, N), one in each row, by conjugate gradients."""
    result, residual, direction = np.zeros_like(right), right.copy(), right.copy()
    squared = _squares(residual)
    limits = TOLERANCE**2 * squared
    for _ in range(_MAX_STEPS):
        is_open = squared > limits
        if not is_open.any():
            break
        image = direction - alpha * affinity.times(direction)
        curvature = np.einsum("cn,cn->c", direction, image)
        step = np.divide(squared, curvature, out=np.zeros_like(squared), where=is_open)
        result += step[:, None] * direction
        residual -= step[:, None] * image
        before, squared = squared, _squares(residual)
        ratio = np.divide(squared, before, out=np.zeros_like(squared), where=is_open)
        direction = residual + ratio[:, None] * direction
    return result


def _squares(vectors: Floats) -> Floats:
    return np.einsum("cn,cn->c", vectors, vectors)
