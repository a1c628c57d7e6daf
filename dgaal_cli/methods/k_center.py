"""Farthest-first traversal: the same picks as brute force, computed mostly by matrix products.

Greedy k-center (Gonzalez 1985) repeatedly picks the point farthest from every center. A direct
implementation reads all features once per pick and is limited by memory bandwidth. Distances to
centers only decrease as centers are added, so an old distance is an upper bound. A block of the
farthest points can therefore be traversed alone while its farthest point is beyond every bound
outside the block. Then one matrix product updates the bounds of all points.

That product is in float32. Its maximum rounding error is added to the bounds, and distances within
a block are computed in float64, so rounding does not change a pick.
"""

import numpy as np

ROWS_AT_ONCE = 4096
CENTERS_AT_ONCE = 2048
BLOCK = 256
"""Points of a block; more need more exact distances, fewer need more passes."""


def k_center(points: np.ndarray, centers: np.ndarray, count: int) -> list[int]:
    """Pick ``count`` <= U of the points ``(U, Z)``, each the farthest from every center ``(L, Z)``.

    Greedy 2-approximation of k-center (Sener & Savarese 2018, Algorithm 1). Without centers, the
    first pick is the point nearest to the mean.

    Returns:
        Positions in ``points``, first pick first; ties take the first point.
    """
    return _Traversal(points, centers).run(count)


def nearest_distances(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return distances of points ``(U, Z)`` to the nearest of centers ``(L, Z)``, float64 ``(U,)``.

    The nearest center is found in float32; its distance is computed in float64. L is at least 1.
    """
    mean = centers.mean(0, dtype=np.float64)
    own, theirs = _centered(points, mean), _centered(centers, mean)
    own_norms, norms = _norms(own), _norms(theirs)
    distances = np.empty(len(points))
    for start in range(0, len(points), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        best = np.full(len(own[rows]), np.inf, dtype=np.float32)
        nearest = np.zeros(len(best), dtype=np.int64)
        for first in range(0, len(centers), CENTERS_AT_ONCE):
            some = slice(first, first + CENTERS_AT_ONCE)
            squared = own_norms[rows, None] + norms[some] - 2.0 * (own[rows] @ theirs[some].T)
            at = squared.argmin(1)
            value = squared[np.arange(len(at)), at]
            nearest = np.where(value < best, first + at, nearest)
            best = np.minimum(best, value)
        gaps = points[rows].astype(np.float64) - centers[nearest].astype(np.float64)
        distances[rows] = np.sqrt((gaps**2).sum(1))
    return distances


class _Traversal:
    """Points, current centers, and the known distances between them."""

    def __init__(self, points: np.ndarray, centers: np.ndarray) -> None:
        self.points = points
        self.mean = points.mean(0, dtype=np.float64)
        self.single = _centered(points, self.mean)  # (U, Z) float32
        self.norms = _norms(self.single)
        self.centers = centers.astype(np.float64) - self.mean
        largest = float(max(self.norms.max(initial=0), (self.centers**2).sum(1).max(initial=0)))
        # Rounding of a float32 dot product grows as sqrt(Z) (Higham & Mary 2019, their lambda 4),
        # and a squared distance is two squared norms less twice a product.
        self.lost = 16 * np.sqrt(points.shape[1] + 1) * float(np.finfo(np.float32).eps) * largest
        self.zero = 1e-12 * largest  # rounding error of the distance between duplicates in float64
        self.bound = np.full(len(points), np.inf, dtype=np.float32)  # squared, of float32
        self.exact = np.full(len(points), np.inf)  # squared, of float64, to centers[:known]
        self.known = np.zeros(len(points), dtype=np.int64)
        self.picked: list[int] = []
        self.is_left = np.ones(len(points), dtype=bool)

    def run(self, count: int) -> list[int]:
        """Pick ``count`` points."""
        if count and not len(self.centers):
            row = int(self.norms.argmin())
            self._pick(row)
            self.centers = self._double([row])
        self._tighten(self.centers)
        block = BLOCK
        while len(self.picked) < count:
            rows, beyond = self._farthest(block)
            before = len(self.picked)
            self._traverse(rows, beyond, count)
            new = len(self.picked) - before
            if new:
                self._tighten(self.centers[-new:])
            block = BLOCK if new else 4 * block  # no pick was certain: look at more points
        return self.picked

    def _pick(self, row: int) -> None:
        self.picked.append(row)
        self.is_left[row] = False
        self.bound[row] = -np.inf

    def _double(self, rows: np.ndarray | list[int]) -> np.ndarray:
        return self.points[rows].astype(np.float64) - self.mean

    def _tighten(self, centers: np.ndarray) -> None:
        """Lower every bound to the distance of the nearest new center."""
        single = centers.astype(np.float32)
        norms = _norms(single)
        for start in range(0, len(self.single), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            for first in range(0, len(single), CENTERS_AT_ONCE):
                some = slice(first, first + CENTERS_AT_ONCE)
                products = self.single[rows] @ single[some].T
                products *= -2.0
                products += norms[some]
                nearest = products.min(1) + self.norms[rows]
                np.minimum(self.bound[rows], nearest, out=self.bound[rows])

    def _farthest(self, count: int) -> tuple[np.ndarray, float]:
        """Return ``count`` points of maximum bound, ascending, and a bound of the others."""
        left = int(self.is_left.sum())
        if count >= left:
            return np.flatnonzero(self.is_left), -np.inf
        order = np.argpartition(-self.bound, count)
        beyond = float(self.bound[order[count:]].max()) + self.lost
        return np.sort(order[:count]), beyond

    def _traverse(self, rows: np.ndarray, beyond: float, count: int) -> None:
        """Pick from ``rows`` while the farthest of them is certainly the farthest of all."""
        self._complete(rows)
        own = self._double(rows)
        norms = (own**2).sum(1)
        gaps = self.exact[rows]
        fresh: list[np.ndarray] = []
        while len(self.picked) < count:
            top = float(gaps.max())
            if top <= beyond:
                break
            at = int(np.flatnonzero(gaps >= top - self.zero)[0])  # duplicates tie: the first
            fresh.append(own[at])
            self._pick(int(rows[at]))
            squared = norms + norms[at] - 2.0 * (own @ own[at])
            squared[squared < self.zero] = 0.0
            gaps = np.minimum(gaps, squared)
            gaps[at] = -np.inf
        if fresh:
            self.centers = np.concatenate([self.centers, np.stack(fresh)])
        self.exact[rows] = gaps
        self.known[rows] = len(self.centers)

    def _complete(self, rows: np.ndarray) -> None:
        """Update the float64 distances of ``rows`` to all current centers."""
        for known in np.unique(self.known[rows]):
            some = rows[self.known[rows] == known]
            own = self._double(some)
            norms = (own**2).sum(1)
            for first in range(int(known), len(self.centers), CENTERS_AT_ONCE):
                part = self.centers[first : first + CENTERS_AT_ONCE]
                products = own @ part.T
                squared = norms[:, None] + (part**2).sum(1) - 2.0 * products
                squared[squared < self.zero] = 0.0
                self.exact[some] = np.minimum(self.exact[some], squared.min(1))
        self.known[rows] = len(self.centers)


def _centered(points: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return float32 points minus ``mean``: products of centered points lose fewer digits."""
    result = np.empty(points.shape, dtype=np.float32)
    for start in range(0, len(points), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        result[rows] = points[rows].astype(np.float64) - mean
    return result


def _norms(points: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", points, points)
