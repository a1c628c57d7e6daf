"""Images that resemble one image of the pool."""

import numpy as np

from dgaal_cli.features.herding import Picks
from dgaal_cli.features.kernel import FeatureRows, Ids, blocks, squared_distances


def most_similar(rows: FeatureRows, labeled: Ids, count: int, *, position: int) -> Picks:
    """Pick the rows that are nearest to one row.

    Args:
        rows: (N, D).
        labeled: Positions that are not picked.
        count: Number of picks; at most as many as are left.
        position: Of the row to compare with.

    Returns:
        Picks whose values are negative distances.
    """
    own = rows[np.array([position])].astype(np.float64)
    scores = np.empty(len(rows))
    for part in blocks(len(rows)):
        squared = squared_distances(rows[part].astype(np.float64), own)[:, 0]
        scores[part] = -np.sqrt(np.maximum(squared, 0.0))
    is_free = np.ones(len(rows), np.bool_)
    is_free[labeled] = False
    is_free[position] = False
    free = np.flatnonzero(is_free)
    chosen = free[np.argsort(-scores[free], kind="stable")[:count]]
    return Picks(positions=chosen, values=scores[chosen], scores=scores)
