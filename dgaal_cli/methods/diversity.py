"""Diverse batches by k-means++ on gradient embeddings."""

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
    distance of a x u and c x v is |a|^2 |u|^2 + |c|^2 |v|^2 - 2 (a c)(u v). After the first pick,
    rows are drawn with probability proportional to the squared distance to the picks.

    Returns:
        ``count`` <= N rows of ``(N, K)`` probabilities and ``(N, F)`` penultimate features, first
        pick first, unique.
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
