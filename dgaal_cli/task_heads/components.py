"""Principal components of standardized features: short rows whose distances mean more."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import FeatureRows, Floats, blocks, sample

Points = npt.NDArray[np.float32]
"""(N, d): rows that are compared by their distance."""
_MAX_FITTED = 8192
"""Rows, chosen at random, that determine the components."""


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """A linear map of feature rows (n, D) to points (n, d)."""

    center: Floats
    """(D,): mean of the features."""
    axes: Floats
    """(D, d): divides by the standard deviation, then projects."""

    def __call__(self, rows: FeatureRows, width: int | None = None) -> Points:
        """Map rows block by block, so that only the points are kept in memory.

        ``width`` limits the number of components.
        """
        axes = self.axes[:, :width]
        points = np.empty((len(rows), axes.shape[1]), np.float32)
        for part in blocks(len(rows)):
            points[part] = (rows[part].astype(np.float64) - self.center) @ axes
        return points


def fit_components(rows: FeatureRows, count: int) -> Components:
    """Fit principal components of standardized features.

    Features without variance are left out of the result; of more than 8,192 rows a random sample
    is used.

    Args:
        rows: Features (N, D), N >= 1.
        count: Components d; at most N and D are kept.
    """
    part = rows[sample(np.arange(len(rows)), _MAX_FITTED)].astype(np.float64)
    center = part.mean(axis=0)
    part -= center
    deviations = part.std(axis=0)
    inverse = np.divide(1.0, deviations, out=np.zeros_like(deviations), where=deviations > 0)
    part *= inverse
    _, vectors = np.linalg.eigh(part.T @ part)  # ascending
    kept = min(count, *part.shape)
    return Components(center, inverse[:, None] * vectors[:, ::-1][:, :kept])
