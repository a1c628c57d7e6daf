"""Clusters of rows by k-means, without scikit-learn, which the core install does not have."""

import numpy as np

from dgaal_cli.features.kernel import Floats, squared_distances

_MAX_SWEEPS = 50


def k_means_centers(points: Floats, count: int, *, seed: int = 0) -> Floats:
    """Return the centers (k, D) of k-means++ and Lloyd's algorithm, until no point moves.

    Args:
        points: (N, D); their order matters.
        count: Clusters k, at most N.
        seed: Of the first centers.
    """
    centers = _spread_points(points, count, np.random.default_rng(seed))
    nearest = np.full(len(points), -1)
    for _ in range(_MAX_SWEEPS):
        before, nearest = nearest, squared_distances(points, centers).argmin(axis=1)
        if (before == nearest).all():
            break
        sizes = np.bincount(nearest, minlength=count)
        sums = np.zeros_like(centers)
        np.add.at(sums, nearest, points)
        is_used = sizes > 0  # an empty cluster keeps its center
        centers[is_used] = sums[is_used] / sizes[is_used, None]
    return centers


def _spread_points(points: Floats, count: int, generator: np.random.Generator) -> Floats:
    """Draw points far from each other: greedy k-means++ (Arthur & Vassilvitskii 2007)."""
    trials = 2 + int(np.log(count))
    chosen = [int(generator.integers(len(points)))]
    squared = squared_distances(points, points[chosen])[:, 0]
    while len(chosen) < count:
        total = float(squared.sum())
        shares = squared / total if total > 0 else np.full(len(points), 1 / len(points))
        drawn = generator.choice(len(points), trials, p=shares)
        left = np.minimum(squared[:, None], squared_distances(points, points[drawn]))
        best = int(left.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        squared = left[:, best]
    return points[chosen].copy()
