"""Diverse batches: k-means++ on gradient embeddings, and typical points of clusters."""

from typing import Any, cast

import numpy as np


def gradient_seeding(
    probabilities: np.ndarray,
    features: np.ndarray,
    count: int,
    *,
    first: int,
    generator: np.random.Generator,
) -> list[int]:
    """Pick rows by k-means++ over gradient embeddings (BADGE, Ash et al. 2020).

    The embedding of a row is (p - e_argmax) x h, with K * F values. It is not computed: the squared
    distance of a x u and c x v is |a|^2 |u|^2 + |c|^2 |v|^2 - 2 (a c)(u v).

    Args:
        probabilities: ``(N, K)``.
        features: ``(N, F)`` penultimate features h.
        count: Rows to pick, at most N.
        first: The first pick.
        generator: Draws the others with probability proportional to the squared distance to the
            picks.

    Returns:
        Picked rows, first pick first, unique.
    """
    residual = probabilities.astype(np.float64).copy()
    residual[np.arange(len(residual)), probabilities.argmax(1)] -= 1.0
    h = features.astype(np.float64)
    norms = (residual**2).sum(1) * (h**2).sum(1)

    def distances_to(row: int) -> np.ndarray:
        cross = (residual @ residual[row]) * (h @ h[row])
        return np.maximum(norms + norms[row] - 2.0 * cross, 0.0)

    picked = [first]
    gap = distances_to(first)
    while len(picked) < count:
        gap[picked] = 0.0
        total = gap.sum()
        if total > 0:
            row = int(generator.choice(len(gap), p=gap / total))
        else:  # all remaining rows equal a pick: take any of them
            row = int(generator.choice(np.setdiff1d(np.arange(len(gap)), picked)))
        picked.append(row)
        gap = np.minimum(gap, distances_to(row))
    return picked


def typical_points(features: np.ndarray, count: int, *, seed: int) -> list[int]:
    """Pick one row near the center of each of ``count`` clusters, as a first query without labels.

    Typical points of clusters are a good choice for few labels (TypiClust, Hacohen et al. 2022);
    here the clusters are those of k-means in the encoder's latents.

    Args:
        features: ``(N, Z)``.
        count: Rows to pick, at most N.
        seed: Seed of k-means.

    Returns:
        Picked rows, largest cluster first, unique.
    """
    from sklearn import cluster as sklearn_cluster

    if count >= len(features):
        return list(range(len(features)))
    spread = features.std(0)
    scaled = (features - features.mean(0)) / np.where(spread > 1e-6, spread, 1.0)
    # scikit-learn's stubs do not accept a number for n_init; its documentation does.
    model = cast("Any", sklearn_cluster).MiniBatchKMeans(
        n_clusters=count, random_state=seed % 2**32, n_init=3, batch_size=max(1024, 4 * count)
    )
    clusters = cast("np.ndarray", model.fit(scaled).labels_)
    gaps = ((scaled - model.cluster_centers_[clusters]) ** 2).sum(1)
    sizes = np.bincount(clusters, minlength=count)
    picked = [
        int(members[gaps[members].argmin()])
        for cluster in np.argsort(-sizes, kind="stable")
        if len(members := np.flatnonzero(clusters == cluster))
    ]
    left = np.setdiff1d(np.arange(len(features)), picked)
    return picked + [int(row) for row in left[: count - len(picked)]]
