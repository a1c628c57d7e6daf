"""First queries: typical images of clusters without labels."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from dgaal_cli.methods.base import Ranking, by_identity, ranking_of_typical
from dgaal_cli.methods.clustering import standardized, typical_of_clusters, typical_points
from dgaal_cli.training.data import RoundData


def ask_clusters(
    data: RoundData, latents: Callable[[np.ndarray], Tensor], count: int, *, seed: int
) -> Ranking:
    """Ask typical points of clusters in latent space; if there are labels, of unlabeled clusters.

    Args:
        data: The round.
        latents: Encodes pool rows ``(N,)`` to ``(N, Z)``.
        count: Images to ask.
        seed: Seed of k-means.
    """
    rows, known = by_identity(data, data.unlabeled_rows), by_identity(data, data.labeled_rows)
    z, labeled = latents(rows).cpu().numpy(), latents(known).cpu().numpy()
    count = min(count, len(rows))
    if len(known):
        both = standardized(np.concatenate([z, labeled]))
        positions, _ = typical_of_clusters(both[: len(z)], both[len(z) :], count, seed=seed)
        reason = "typical of a cluster without labels"
    else:
        positions = typical_points(z, count, seed=seed)
        reason = "typical of a cluster"
    why = "first queries" if data.can_learn else "no labels of two classes yet"
    return ranking_of_typical(rows, positions, why=why, reason=reason)
