"""A Gaussian kernel on feature rows, and the sample of rows that stands for a whole pool.

Rows are read in blocks and computed in float64, so memory grows neither with the number of rows nor
with its square.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
BLOCK = 512
"""Rows that are read and compared at once."""
MAX_KEPT = 2**23
"""Kernel values that are kept instead of computed again: 64 MB."""
_WIDTH_SAMPLE = 1000
"""Rows whose distances determine the width of the kernel."""


class FeatureRows(Protocol):
    """Rows (N, D) that are read in parts: an array, or ``cache.CachedRows``."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, which: Any, /) -> npt.NDArray[np.floating[Any]]:
        """Return the rows (n, D) of a slice or of an array of positions."""
        ...


@dataclass(frozen=True, slots=True)
class GaussianKernel:
    """``k(x, y) = exp(-|x - y|^2 / (2 width^2))``, in 0..1."""

    origin: Floats
    """(D,): subtracted from all rows first, which reduces rounding errors."""
    width: float

    def read(self, rows: FeatureRows, which: "slice | Ids") -> Floats:
        """Return some rows (n, D), minus the origin."""
        return rows[which].astype(np.float64) - self.origin

    def __call__(self, ours: Floats, theirs: Floats) -> Floats:
        """Return the values (n, m) of two sets of rows from ``read``."""
        values = squared_distances(ours, theirs)
        values *= -0.5 / self.width**2
        return np.exp(values, out=values)


class LandmarkValues:
    """Kernel values (n, L) of some rows to L landmarks; at most ``MAX_KEPT`` are kept in memory."""

    def __init__(self, rows: FeatureRows, kernel: GaussianKernel, landmarks: Ids) -> None:
        """Compute the values of all rows if they are kept.

        Args:
            rows: (N, D).
            kernel: Kernel.
            landmarks: Positions (L,) in the rows.
        """
        self._rows, self.kernel = rows, kernel
        self.landmarks = kernel.read(rows, landmarks)
        self._kept: Floats | None = None
        if len(rows) * len(landmarks) <= MAX_KEPT:
            kept = np.empty((len(rows), len(landmarks)))
            for part in blocks(len(rows)):
                kept[part] = self._computed(part)
            self._kept = kept

    def __call__(self, which: "slice | Ids") -> Floats:
        """Return the values (n, L) of some rows; the caller must not change them."""
        return self._computed(which) if self._kept is None else self._kept[which]

    def _computed(self, which: "slice | Ids") -> Floats:
        return self.kernel(self.kernel.read(self._rows, which), self.landmarks)


def kernel_for(rows: FeatureRows, ids: Ids, *, scale: float) -> GaussianKernel:
    """Choose a kernel whose width is ``scale`` times the median distance of two different rows.

    The median is that of at most 1,000 rows that ``sample`` chooses. If all are equal, the width
    is 1.
    """
    points = rows[sample(ids, _WIDTH_SAMPLE)].astype(np.float64)
    origin = points.mean(axis=0)
    points -= origin
    squared = squared_distances(points, points)[np.triu_indices(len(points), 1)]
    rounding = 1e-9 * (points**2).sum(axis=1).max(initial=0.0)
    different = squared[squared > rounding]
    width = scale * float(np.sqrt(np.median(different))) if len(different) else 1.0
    return GaussianKernel(origin, width)


def sample(ids: Ids, count: int) -> Ids:
    """Choose ``count`` positions at random, or all; depends only on the ids, not on their order.

    Returns:
        Positions in ``ids`` (N,), which are unique, ordered by id.
    """
    chosen = np.arange(len(ids))
    if count < len(ids):
        chosen = np.argpartition(_mixed(ids), count)[:count]
    return chosen[np.argsort(ids[chosen])]


def blocks(count: int) -> Iterator[slice]:
    """Yield slices of at most ``BLOCK`` that cover ``count`` rows."""
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def squared_distances(
    ours: npt.NDArray[np.floating[Any]], theirs: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[Any]:
    """Squared distances ``(N, M)``, at least zero, in the precision of the points."""
    squared = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2.0 * (ours @ theirs.T)
    return np.maximum(squared, 0.0, out=squared)


def _mixed(ids: Ids) -> npt.NDArray[np.uint64]:
    """Return a well mixed number for each id (splitmix64), different for different ids."""
    mixed = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
