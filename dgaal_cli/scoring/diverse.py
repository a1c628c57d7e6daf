"""Diverse ranking: select the best images without near-duplicates."""

from collections.abc import Iterator

import numpy as np

from dgaal_cli.methods.k_center import k_center, nearest_distances
from dgaal_cli.scoring.rows import BLOCK_ROWS, FloatArray, Indices, Rows

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
        self._limit = max(MIN_KEPT, CANDIDATES * count)
        self._parts: list[Rows] = []
        self._features: list[FloatArray] = []
        self._kept = 0

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:
        """Add rows, and the features (n, Z) of the readable rows."""
        readable = rows.readable()
        if not len(readable):
            return
        assert features is not None, "features were not kept"
        assert len(features) == len(readable)
        self._parts.append(readable)
        self._features.append(features)
        self._kept += len(readable)
        if self._kept > 2 * self._limit:
            self._cut()

    def ranked(self) -> Iterator[Rows]:
        """Return the selected rows, best score first."""
        if not self._parts:
            return iter(())
        rows, features = self._cut()
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

    def _cut(self) -> tuple[Rows, FloatArray]:
        """Keep only the best rows, sorted."""
        rows = Rows.concatenate(self._parts)
        order = rows.order()[: self._limit]
        best, features = rows.take(order), np.concatenate(self._features)[order]
        self._parts, self._features, self._kept = [best], [features], len(best)
        return best, features


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
