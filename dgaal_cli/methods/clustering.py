"""Clusters of points, and the most typical points of each."""

from typing import Any

import numpy as np

from dgaal_cli.features.kernel import squared_distances

ROWS_AT_ONCE = 1024
MAX_CLUSTERS = 500
MIN_CLUSTER = 6
NEIGHBORS = 20
EXACT_CLUSTERS = 50
"""Up to this number of clusters k-means uses all points, beyond it batches of 5,000."""

Chosen = tuple[list[int], np.ndarray]
"""Positions among the unlabeled points, and their scores."""


def typical_of_clusters(
    unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, seed: int
) -> Chosen:
    """Visit clusters by fewest labels, then size, and take the most typical point of each.

    As in the authors' code: clusters of at most five points are skipped, typicality is measured
    among a cluster's unlabeled points, and clusters are visited again if there are more picks than
    clusters. Ours: small clusters are used after the large ones have no points left.

    Returns:
        ``count`` <= U positions in ``unlabeled`` ``(U, Z)`` given ``labeled`` ``(L, Z)``, and each
        point's typicality in its cluster before any pick.
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
    for group in ([c for c in order if is_small[c] == small] for small in (False, True)):
        while len(picked) < count and any(len(members[c]) for c in group):
            for cluster in group:
                rows = members[cluster]
                if len(rows) and len(picked) < count:
                    best = int(typicality(unlabeled[rows]).argmax())
                    picked.append(int(rows[best]))
                    members[cluster] = np.delete(rows, best)
    return picked, scores


def typical_points(features: np.ndarray, count: int, *, seed: int) -> list[int]:
    """Pick a row of ``(N, Z)`` near the center of each of ``count`` <= N clusters, without labels.

    Typical points of clusters are a good choice for few labels (TypiClust, Hacohen et al. 2022);
    here the clusters are those of k-means in the encoder's latents.

    Returns:
        Picked rows, largest cluster first, unique.
    """
    if count >= len(features):
        return list(range(len(features)))
    scaled = standardized(features)
    model = _fitted("MiniBatchKMeans", scaled, count, seed, batch_size=max(1024, 4 * count))
    clusters: np.ndarray = model.labels_
    gaps = ((scaled - model.cluster_centers_[clusters]) ** 2).sum(1)
    sizes = np.bincount(clusters, minlength=count)
    picked = [
        int(members[gaps[members].argmin()])
        for cluster in np.argsort(-sizes, kind="stable")
        if len(members := np.flatnonzero(clusters == cluster))
    ]
    left = np.setdiff1d(np.arange(len(features)), picked)
    return picked + [int(row) for row in left[: count - len(picked)]]


def typicality(points: np.ndarray) -> np.ndarray:
    """Return the inverse of the mean distance to the nearest neighbors, ``(N,)``.

    ``1 / (mean distance to min(20, N // 2) neighbors + 1e-5)``, with at least one neighbor; 0 for a
    single point.
    """
    count = max(1, min(NEIGHBORS, len(points) // 2))
    result = np.zeros(len(points))
    if len(points) < 2:
        return result
    for start in range(0, len(points), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(points)))
        squared = squared_distances(points[rows], points)
        squared[np.arange(len(rows)), rows] = np.inf  # a point is not its own neighbor
        nearest = np.partition(squared, count - 1, axis=1)[:, :count]
        result[rows] = 1.0 / (np.sqrt(nearest).mean(1) + 1e-5)
    return result


def k_means(points: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Cluster ``(N, Z)`` into at most ``count`` clusters; int64 ``(N,)``.

    As in TypiClust's code: on all points up to 50 clusters, on batches of 5,000 beyond.
    """
    count = min(count, len({point.tobytes() for point in points}))  # more would warn
    if count <= EXACT_CLUSTERS:
        model = _fitted("KMeans", points, count, seed)
    else:
        model = _fitted("MiniBatchKMeans", points, count, seed, batch_size=5000)
    return model.labels_.astype(np.int64)


def _fitted(kind: str, points: np.ndarray, count: int, seed: int, **options: int) -> Any:
    """Fit a class of ``sklearn.cluster``."""
    from sklearn import cluster

    # scikit-learn's stubs do not accept a number for n_init; its documentation does.
    model = getattr(cluster, kind)(n_clusters=count, random_state=seed % 2**32, n_init=3, **options)
    return model.fit(points)


def standardized(points: np.ndarray) -> np.ndarray:
    """Give each dimension of ``(N, Z)`` mean 0 and deviation 1; a constant one becomes 0."""
    spread = points.std(0)
    return (points - points.mean(0)) / np.where(spread > 1e-6, spread, 1.0)
