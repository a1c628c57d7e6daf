"""Diverse ranking: select the best images without near-duplicates."""

from collections.abc import Iterator

import numpy as np

from dgaal_cli.methods.k_center import k_center, nearest_distances
from dgaal_cli.scoring.rows import BLOCK_ROWS, FloatArray, Indices, Rows
from dgaal_cli.scoring.top_candidates import TopCandidates

CANDIDATES = 5
"""Distinct images considered for each selected image."""
MIN_KEPT = 10_000
"""Min. images kept, so that thousands of copies of one good image still leave other candidates."""
NEAR = 0.1
"""Two images are near-duplicates if their distance is at most this fraction of the features'
root mean square deviation."""
_BLOCK = 256


class DiverseRanking:
    """Selects ``count`` of the best ``CANDIDATES * count`` distinct images, far apart in features.

    Each group of near-duplicates is represented by its best image. Greedy k-center (Sener &
    Savarese 2018) then selects among the representatives, starting with the best image. The table
    is ordered by score.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._candidates = TopCandidates(max(MIN_KEPT, CANDIDATES * count))

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:
        """Add rows, and the features (n, Z) of the readable rows."""
        self._candidates.add(rows, features)

    def ranked(self) -> Iterator[Rows]:
        """Return the selected rows, best score first."""
        found = self._candidates.best()
        if found is None:
            return iter(())
        rows, features = found
        distinct = _distinct(features, CANDIDATES * self._count)
        if self._count == 1:
            chosen = distinct[:1]
        elif len(distinct) < self._count:  # fill up with the best near-duplicates
            others = np.setdiff1d(np.arange(len(rows)), distinct)
            chosen = np.sort([*distinct, *others[: self._count - len(distinct)]])
        else:
            spread = features[distinct]
            chosen = distinct[
                [0, *(1 + n for n in k_center(spread[1:], spread[:1], self._count - 1))]
            ]
        return rows.blocks(np.sort(chosen).astype(np.intp), BLOCK_ROWS)


def _distinct(features: FloatArray, count: int) -> Indices:
    """Return up to ``count`` indices of images that are not near-duplicates of an earlier image."""
    near = NEAR * float(np.sqrt(features.var(0, dtype=np.float64).sum()))
    chosen: list[int] = []
    for start in range(0, len(features), _BLOCK):
        block = features[start : start + _BLOCK]
        is_left = np.ones(len(block), np.bool_)
        if chosen:
            is_left = nearest_distances(block, features[chosen]) > near
        for index in range(len(block)):
            if not is_left[index]:
                continue
            chosen.append(start + index)
            if len(chosen) == count:
                return np.array(chosen, np.intp)
            gaps = block - block[index]
            is_left &= np.einsum("nz,nz->n", gaps, gaps) > near**2
    return np.array(chosen, np.intp)
