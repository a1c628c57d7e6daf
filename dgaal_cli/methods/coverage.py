"""Queries for few labels: typical images of uncovered clusters, and balls that cover the pool.

Both treat the labeled images as covered and need no task model, so they work from the first query.
They were published on SimCLR features. Here the features are those of a pretrained encoder. With
the encoder ``pixels`` they are those of DGAAL's encoder G1 after its image game (adversarial
reconstruction, Guo et al. 2021, eq. 5-8), the only encoder that dgaal trains without labels. G1's
features are weaker than SimCLR's on natural images, so do not expect the gains that those papers
report.
"""

import numpy as np

from dgaal_cli.features.kernel import squared_distances
from dgaal_cli.methods.by_coverage import CoverageMethod
from dgaal_cli.methods.clustering import ROWS_AT_ONCE, Chosen, k_means, typical_of_clusters
from dgaal_cli.methods.k_center import k_center

MAX_PURITY_SAMPLE = 10_000


class TypiClust(CoverageMethod):
    """Typical points of uncovered clusters (Hacohen, Dekel & Weinshall 2022, "TPC")."""

    name = "typiclust"
    reason = "typical of a cluster without labels"

    def choose(
        self, unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, classes: int, seed: int
    ) -> Chosen:
        """k-means into ``min(L + b, 500)`` clusters, then one typical point per cluster."""
        return typical_of_clusters(unlabeled, labeled, count, seed=seed)


class ProbCover(CoverageMethod):
    """Greedy maximum coverage by balls (Yehuda, Dekel, Hacohen & Weinshall 2022, Algorithm 1)."""

    name = "probcover"
    reason = "covers the most uncovered images"

    def choose(
        self, unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, classes: int, seed: int
    ) -> Chosen:
        """Greedy coverage, with the configured radius or that of the purity rule."""
        config = self.config.coverage
        radius = config.radius or purity_radius(
            np.concatenate([unlabeled, labeled]), classes, purity=config.purity, seed=seed
        )
        return greedy_cover(unlabeled, labeled, count, radius=radius)


def purity_radius(points: np.ndarray, classes: int, *, purity: float, seed: int) -> float:
    """Return the maximum radius at which a share ``purity`` of all balls is within one cluster.

    Yehuda et al. 2022, section 3.3, with as many k-means clusters as classes as pseudo-labels. A
    ball is pure until it reaches the nearest point of another cluster, so the radius is the
    ``1 - purity`` quantile of those distances; no search is needed. Measured on at most 10,000
    points.
    """
    step = max(1, -(-len(points) // MAX_PURITY_SAMPLE))
    points = points[::step]
    clusters = k_means(points, max(2, classes), seed=seed)
    gaps = np.full(len(points), np.inf)
    for start in range(0, len(points), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        squared = squared_distances(points[rows], points)
        squared[clusters[rows, None] == clusters] = np.inf
        gaps[rows] = np.sqrt(squared.min(1))
    finite = gaps[np.isfinite(gaps)]
    return float(np.quantile(finite, 1.0 - purity)) if len(finite) else 1.0


def greedy_cover(
    unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, radius: float
) -> Chosen:
    """Pick ``count`` <= U points, each time that whose ball contains the most uncovered points.

    The graph of neighbors is not stored: out-degrees are counted once and reduced when a point is
    covered, so memory is O(U) for any radius. Balls of labeled points are covered; a point at
    exactly ``radius`` is outside. Once everything is covered, farthest-first traversal picks the
    rest; the paper does not define this case.

    Returns:
        Positions in ``unlabeled`` ``(U, Z)`` given ``labeled`` ``(L, Z)``, and how many points each
        would cover before any pick.
    """
    is_covered = np.zeros(len(unlabeled), dtype=bool)
    for start in range(0, len(labeled), ROWS_AT_ONCE):
        is_covered |= _within(labeled[start : start + ROWS_AT_ONCE], unlabeled, radius).any(0)
    degrees = _count_balls(unlabeled, np.flatnonzero(~is_covered), radius)
    scores = degrees.astype(np.float32)
    picked: list[int] = []
    while len(picked) < count and degrees.max(initial=0) > 0:
        row = int(degrees.argmax())
        picked.append(row)
        inside = _within(unlabeled[row : row + 1], unlabeled, radius)[0]
        inside[row] = True
        fresh = np.flatnonzero(inside & ~is_covered)
        is_covered |= inside
        degrees -= _count_balls(unlabeled, fresh, radius)
        degrees[row] = 0
    if len(picked) < count:
        left = np.setdiff1d(np.arange(len(unlabeled)), picked)
        covering = np.concatenate([labeled, unlabeled[picked]])
        picked += [int(left[i]) for i in k_center(unlabeled[left], covering, count - len(picked))]
    return picked, scores


def _count_balls(points: np.ndarray, centers: np.ndarray, radius: float) -> np.ndarray:
    """Count the balls around ``centers``, rows of ``points``, that contain each point, in parts."""
    counts = np.zeros(len(points), dtype=np.int64)
    for start in range(0, len(centers), ROWS_AT_ONCE):
        rows = centers[start : start + ROWS_AT_ONCE]
        inside = _within(points[rows], points, radius)
        inside[np.arange(len(rows)), rows] = True  # rounding must not push a point out of its ball
        counts += inside.sum(0)
    return counts


def _within(centers: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    return squared_distances(centers, points) < radius**2
