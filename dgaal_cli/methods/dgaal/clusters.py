"""First queries: typical images of clusters without labels."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Ranking, by_identity
from dgaal_cli.methods.clustering import typical_of_clusters
from dgaal_cli.methods.diversity import typical_points
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
        positions, _ = typical_of_clusters(*_standardized(z, labeled), count, seed=seed)
        reason = "typical of a cluster without labels"
    else:
        positions = typical_points(z, count, seed=seed)
        reason = "typical of a cluster"
    picks = [Row(int(rows[i])) for i in positions]
    scores = np.zeros(len(data.pixels), np.float32)
    scores[picks] = np.linspace(1.0, 0.5, len(picks), dtype=np.float32)
    why = "first queries" if data.can_learn else "no labels of two classes yet"
    return Ranking(
        rows=data.unlabeled_rows,
        scores=scores[data.unlabeled_rows],
        picks=picks,
        strategy=f"typical images of clusters ({why})",
        reasons=dict.fromkeys(picks, reason),
    )


def _standardized(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardize the latents of both ``(N, Z)`` together, so that all have the same weight."""
    both = np.concatenate([ours, theirs])
    spread = both.std(0)
    mean, scale = both.mean(0), np.where(spread > 1e-6, spread, 1.0)
    return (ours - mean) / scale, (theirs - mean) / scale
