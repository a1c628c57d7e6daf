"""The best images, spread out: near-duplicates of a good image do not take the places of others."""

from collections.abc import Iterator

import numpy as np

from dgaal_cli.methods.k_center import k_center, nearest_distances
from dgaal_cli.scoring.rows import BLOCK_ROWS, FloatArray, Places, Rows

CANDIDATES = 5
"""Different images considered for each one chosen."""
HELD = 10_000
"""Images held at least, so that a good image's thousands of copies leave candidates beside them."""
NEAR = 0.1
"""Two images are near-duplicates within this part of the features' root mean square deviation."""
_BLOCK = 256


class DiverseRanking:
    """``count`` of the best ``CANDIDATES * count`` different images, far apart in feature space.

    Of near-duplicates the best stands for all. Among those that are left: greedy k-center (Sener &
    Savarese 2018) from the best image on. The table is in order of score.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._held = max(HELD, CANDIDATES * count)
        self._parts: list[Rows] = []
        self._features: list[FloatArray] = []
        self._kept = 0

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:
        """Take rows, and the features (n, Z) of the readable ones among them."""
        readable = rows.readable()
        if not len(readable):
            return
        assert features is not None, "features were not kept"
        assert len(features) == len(readable)
        self._parts.append(readable)
        self._features.append(features)
        self._kept += len(readable)
        if self._kept > 2 * self._held:
            self._cut()

    def ranked(self) -> Iterator[Rows]:
        """Give the chosen rows, best score first."""
        if not self._parts:
            return iter(())
        rows, features = self._cut()
        different = _different(features, CANDIDATES * self._count)
        if self._count == 1:
            chosen = different[:1]
        elif len(different) < self._count:  # so many copies that some must be shown, best first
            others = np.setdiff1d(np.arange(len(rows)), different)
            chosen = np.sort([*different, *others[: self._count - len(different)]])
        else:
            spread = features[different]
            chosen = different[
                [0, *(1 + n for n in k_center(spread[1:], spread[:1], self._count - 1))]
            ]
        return rows.blocks(np.sort(chosen).astype(np.intp), BLOCK_ROWS)

    def _cut(self) -> tuple[Rows, FloatArray]:
        """Keep the best, sorted."""
        rows = Rows.joined(self._parts)
        order = rows.order()[: self._held]
        best, features = rows.take(order), np.concatenate(self._features)[order]
        self._parts, self._features, self._kept = [best], [features], len(best)
        return best, features


def _different(features: FloatArray, most: int) -> Places:
    """Return places of images, best first, that are no near-duplicate of one before."""
    near = NEAR * float(np.sqrt(features.var(0, dtype=np.float64).sum()))
    chosen: list[int] = []
    for start in range(0, len(features), _BLOCK):
        block = features[start : start + _BLOCK]
        is_left = np.ones(len(block), np.bool_)
        if chosen:
            is_left = nearest_distances(block, features[chosen]) > near
        for place in range(len(block)):
            if not is_left[place]:
                continue
            chosen.append(start + place)
            if len(chosen) == most:
                return np.array(chosen, np.intp)
            gaps = block - block[place]
            is_left &= np.einsum("nz,nz->n", gaps, gaps) > near**2
    return np.array(chosen, np.intp)
