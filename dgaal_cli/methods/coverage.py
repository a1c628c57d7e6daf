"""Queries for few labels: typical images of uncovered clusters, and balls that cover the pool.

Both see the labeled images as covered and need no task model; they work from the first query on.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Ranking, TaskShape
from dgaal_cli.methods.k_center import k_center
from dgaal_cli.methods.pool_encoder import PoolEncoder, by_identity
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase

ROWS_AT_ONCE = 1024
MAX_CLUSTERS = 500
MIN_CLUSTER = 6
NEIGHBORS = 20
EXACT_CLUSTERS = 50
"""Up to so many clusters k-means is run on all points, beyond it on batches of 5,000."""
MAX_PURITY_SAMPLE = 10_000

Chosen = tuple[list[int], np.ndarray]
"""Positions among the unlabeled points, and their scores."""


class CoverageMethod(TaskModelOnly):
    """Features of the pool's encoder, rows in a fixed order; subclasses choose among them.

    There is no sampler to export: what is typical or uncovered is a property of a pool, not of one
    image.
    """

    name: str
    reason: str

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape)
        self.pool_encoder = PoolEncoder(config, shape)
        self.modules |= self.pool_encoder.modules
        self.carried: frozenset[str] = frozenset(self.pool_encoder.modules)

    def learn(self, data: RoundData) -> list[Phase]:
        """The encoder before round 0, then T on the labels of now."""
        first = [self.pool_encoder.phase(data)] if data.number == 0 else []
        return [*first, *super().learn(data)]

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Choose in the features' space, without T."""
        rows = data.unlabeled_rows
        ordered = by_identity(data, rows)
        unlabeled = self.pool_encoder.features(data.pixels[ordered], data.device)
        known = by_identity(data, data.labeled_rows)
        labeled = self.pool_encoder.features(data.pixels[known], data.device)
        positions, values = self.choose(
            unlabeled, labeled, min(count, len(rows)), classes=len(data.class_names), seed=seed
        )
        picks = [Row(int(ordered[i])) for i in positions]
        scores = np.empty(len(rows), dtype=np.float32)
        scores[np.searchsorted(rows, ordered)] = values
        return Ranking(
            rows=rows,
            scores=scores,
            picks=picks,
            strategy=self.name,
            reasons=dict.fromkeys(picks, self.reason),
        )

    def choose(
        self, unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, classes: int, seed: int
    ) -> Chosen:
        """Pick ``count`` of ``unlabeled`` ``(U, Z)`` given ``labeled`` ``(L, Z)``."""
        raise NotImplementedError


class TypiClust(CoverageMethod):
    """Typical points of uncovered clusters (Hacohen, Dekel & Weinshall 2022, "TPC")."""

    name = "typiclust"
    reason = "typical of a cluster without labels"

    def choose(
        self, unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, classes: int, seed: int
    ) -> Chosen:
        """k-means into ``min(L + b, 500)`` clusters, then one typical point a cluster."""
        return typical_of_clusters(unlabeled, labeled, count, seed=seed)


class ProbCover(CoverageMethod):
    """Greedy maximum coverage by balls (Yehuda, Dekel, Hacohen & Weinshall 2022, Algorithm 1)."""

    name = "probcover"
    reason = "covers the most uncovered images"

    def choose(
        self, unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, classes: int, seed: int
    ) -> Chosen:
        """Radius by the purity rule unless configured, then greedy coverage."""
        config = self.config.coverage
        radius = config.radius or purity_radius(
            np.concatenate([unlabeled, labeled]), classes, purity=config.purity, seed=seed
        )
        return greedy_cover(unlabeled, labeled, count, radius=radius)


def typical_of_clusters(
    unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, seed: int
) -> Chosen:
    """Visit clusters by fewest labels, then size, and take the most typical point of each.

    As in the authors' code: clusters of five points or fewer are left aside, typicality is measured
    among a cluster's unlabeled points, and the visits go round again where there are more picks
    than clusters. Beyond that code, small clusters come in where the large ones are used up.

    Args:
        unlabeled: ``(U, Z)``.
        labeled: ``(L, Z)``.
        count: Points to pick, at most U.
        seed: Of k-means.

    Returns:
        Positions in ``unlabeled``, and each point's typicality in its cluster before any pick.
    """
    scores = np.zeros(len(unlabeled), dtype=np.float32)
    if not len(unlabeled):
        return [], scores
    points = np.concatenate([unlabeled, labeled])
    clusters = k_means(points, min(len(labeled) + max(count, 1), MAX_CLUSTERS), seed=seed)
    own, theirs = clusters[: len(unlabeled)], clusters[len(unlabeled) :]
    number = int(clusters.max()) + 1
    sizes, known = np.bincount(clusters, minlength=number), np.bincount(theirs, minlength=number)
    members = [np.flatnonzero(own == cluster) for cluster in range(number)]
    for rows in members:
        scores[rows] = typicality(unlabeled[rows])
    is_small = sizes < MIN_CLUSTER
    order = [int(c) for c in np.lexsort((-sizes, known, is_small))]
    picked: list[int] = []
    for group in (
        [c for c in order if not is_small[c]],
        [c for c in order if is_small[c]],
    ):
        while len(picked) < count and any(len(members[c]) for c in group):
            for cluster in group:
                rows = members[cluster]
                if len(rows) and len(picked) < count:
                    best = int(typicality(unlabeled[rows]).argmax())
                    picked.append(int(rows[best]))
                    members[cluster] = np.delete(rows, best)
    return picked, scores


def typicality(points: np.ndarray) -> np.ndarray:
    """Return the inverse of the mean distance to the nearest neighbors, ``(N,)``.

    ``1 / (mean distance to min(20, N // 2) neighbors + 1e-5)``, at least one neighbor; 0 for a
    point by itself.
    """
    count = max(1, min(NEIGHBORS, len(points) // 2))
    result = np.zeros(len(points))
    if len(points) < 2:
        return result
    for start in range(0, len(points), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(points)))
        squared = _squared_distances(points[rows], points)
        squared[np.arange(len(rows)), rows] = np.inf  # a point is no neighbor of its own
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        result[rows] = 1.0 / (np.sqrt(nearest).mean(1) + 1e-5)
    return result


def purity_radius(points: np.ndarray, classes: int, *, purity: float, seed: int) -> float:
    """Return the largest radius at which ``purity`` of all balls lie within one cluster.

    Yehuda et al. 2022, section 3.3, with as many k-means clusters as classes for pseudo-labels. A
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
        squared = _squared_distances(points[rows], points)
        squared[clusters[rows, None] == clusters] = np.inf
        gaps[rows] = np.sqrt(squared.min(1))
    finite = gaps[np.isfinite(gaps)]
    return float(np.quantile(finite, 1.0 - purity)) if len(finite) else 1.0


def greedy_cover(
    unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, radius: float
) -> Chosen:
    """Pick, again and again, the point whose ball holds the most points that no ball holds yet.

    The graph of neighbors is never stored: out-degrees are counted once and lowered as points are
    covered, each point once, so memory stays O(U) for any radius. Where everything is covered,
    farthest-first traversal goes on; the paper leaves that open.

    Args:
        unlabeled: ``(U, Z)``.
        labeled: ``(L, Z)``; their balls are covered.
        count: Points to pick, at most U.
        radius: Of a ball; a point at this very distance lies outside.

    Returns:
        Positions in ``unlabeled``, and how many points each would cover before any pick.
    """
    is_covered = np.zeros(len(unlabeled), dtype=bool)
    for start in range(0, len(labeled), ROWS_AT_ONCE):
        is_covered |= _within(labeled[start : start + ROWS_AT_ONCE], unlabeled, radius).any(0)
    degrees = np.zeros(len(unlabeled), dtype=np.int64)
    _for_balls(
        unlabeled,
        np.flatnonzero(~is_covered),
        radius,
        lambda inside: np.add(degrees, inside.sum(0), out=degrees),
    )
    scores = degrees.astype(np.float32)
    picked: list[int] = []
    while len(picked) < count and degrees.max(initial=0) > 0:
        row = int(degrees.argmax())
        picked.append(row)
        inside = _within(unlabeled[row : row + 1], unlabeled, radius)[0]
        inside[row] = True
        fresh = np.flatnonzero(inside & ~is_covered)
        is_covered |= inside
        _for_balls(
            unlabeled,
            fresh,
            radius,
            lambda inside: np.subtract(degrees, inside.sum(0), out=degrees),
        )
        degrees[row] = 0
    if len(picked) < count:
        left = np.setdiff1d(np.arange(len(unlabeled)), picked)
        covering = np.concatenate([labeled, unlabeled[picked]])
        picked += [int(left[i]) for i in k_center(unlabeled[left], covering, count - len(picked))]
    return picked, scores


def k_means(points: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Cluster ``(N, Z)`` into at most ``count`` clusters; int64 ``(N,)``.

    As in TypiClust's code: all points up to 50 clusters, batches of 5,000 beyond.
    """
    from sklearn import cluster as sklearn_cluster

    count = min(count, len({point.tobytes() for point in points}))  # more would warn
    library = cast("Any", sklearn_cluster)
    if count <= EXACT_CLUSTERS:
        model = library.KMeans(n_clusters=count, random_state=seed % 2**32, n_init=3)
    else:
        model = library.MiniBatchKMeans(
            n_clusters=count, random_state=seed % 2**32, n_init=3, batch_size=5000
        )
    return cast("np.ndarray", model.fit(points).labels_).astype(np.int64)


def _for_balls(
    points: np.ndarray,
    centers: np.ndarray,
    radius: float,
    use: Callable[[np.ndarray], object],
) -> None:
    """Show which points lie around each of ``centers``, bool ``(B, N)``, a part at a time."""
    for start in range(0, len(centers), ROWS_AT_ONCE):
        rows = centers[start : start + ROWS_AT_ONCE]
        inside = _within(points[rows], points, radius)
        inside[np.arange(len(rows)), rows] = True  # rounding must not push a point out of its ball
        use(inside)


def _within(centers: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    return _squared_distances(centers, points) < radius**2


def _squared_distances(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Squared distances ``(N, M)``, never below zero, in the points' own precision."""
    squared = (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2.0 * (ours @ theirs.T)
    return np.maximum(squared, 0.0)
