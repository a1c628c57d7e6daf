"""DGAAL's query rule R: images near the boundary, and a share that depends on D1's AUC.

The published rule uses only the lowest D1. In a first study no share of D1 was better than plain
margin, because a random labeled set cannot be distinguished from its pool. So D1 chooses a tenth of
the query, more only if its cross-validated AUC is above chance, and nothing in the last query.
First queries ask typical images of clusters without labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dgaal_cli.methods.base import Ranking, by_identity, ranking_of_typical, ranks
from dgaal_cli.methods.clustering import standardized, typical_of_clusters, typical_points
from dgaal_cli.methods.diversity import gradient_seeding
from dgaal_cli.training.data import RoundData

BASE_SHARE = 0.1
MAX_GATE = 0.2
MIN_QUERY = 10
MIN_LABELED_FOR_D1 = 30
"""With fewer labels, D1's folds are too small to be informative, and it gets no share."""
POOL_FACTOR = 10
"""D1's part of a query is chosen by k-means++ from this many times its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A query, as positions in the unlabeled arrays."""

    by_margin: list[int]
    by_discriminator: list[int]
    scores: np.ndarray
    """float32 ``(U,)``: half rank of closeness, half rank of D1."""


def discriminator_share(*, auc: float, labeled: int, count: int, progress: float) -> float:
    """Return D1's part of a query of ``count`` images.

    ``(1 - t) (0.1 + min(0.2, max(0, 2 (AUC - 0.5 - 1.64 se))))`` with ``se = 0.29 / sqrt(|L|)``,
    the standard error of the AUC at chance, D1's AUC on rows that it did not train on, and the
    progress t of the labeling, 0..1.
    """
    if count < MIN_QUERY or labeled < MIN_LABELED_FOR_D1:
        return 0.0
    chance = 0.29 / np.sqrt(labeled)
    gate = min(MAX_GATE, max(0.0, 2.0 * (auc - 0.5 - 1.64 * chance)))
    return float((1.0 - progress) * (BASE_SHARE + gate))


def choose(
    *,
    closeness: np.ndarray,
    unlabeled_logits: np.ndarray,
    probabilities: np.ndarray,
    features: np.ndarray,
    count: int,
    share: float,
    spread: float,
    generator: np.random.Generator,
) -> Choice:
    """Fill a query with images near the boundary and, for D1's share, by a mix of both ranks.

    Args:
        closeness: ``(U,)`` one minus T's margin.
        unlabeled_logits: ``(U,)`` D1's logit of "unlabeled".
        probabilities: ``(U, K)`` of T.
        features: ``(U, F)`` penultimate features of T.
        count: Query size, at most U.
        share: D1's part, 0..1.
        spread: The boundary's part is chosen by k-means++ from this many times its size of the
            nearest images, so that the images differ; 1 takes the nearest.
        generator: For k-means++.
    """

    def seeded(top: np.ndarray, size: int) -> list[int]:
        picked = gradient_seeding(
            probabilities[top], features[top], min(size, len(top)), first=0, generator=generator
        )
        return [int(top[position]) for position in picked]

    mixed = 0.5 * ranks(closeness) + 0.5 * ranks(unlabeled_logits)
    order = np.argsort(-closeness, kind="stable")
    d1_count = round(share * count)
    near = count - d1_count
    nearest = order[: max(near, round(min(spread * near, len(order))))]
    by_margin = [int(row) for row in nearest]
    if len(nearest) > near > 0:
        by_margin = seeded(nearest, near)
    by_discriminator: list[int] = []
    if d1_count:
        rest = order[~np.isin(order, by_margin)]
        top = rest[np.argsort(-mixed[rest], kind="stable")[: POOL_FACTOR * d1_count]]
        by_discriminator = seeded(top, d1_count)
    return Choice(
        by_margin=by_margin, by_discriminator=by_discriminator, scores=mixed.astype(np.float32)
    )


def ask_clusters(
    data: RoundData, latents: Callable[[np.ndarray], Tensor], count: int, *, seed: int
) -> Ranking:
    """Ask typical points of clusters in latent space; if there are labels, of unlabeled clusters.

    ``latents`` encodes pool rows ``(N,)`` to ``(N, Z)``.
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
