"""The best images, spread out: near-duplicates of a good image do not take the places of others."""

from collections.abc import Iterator

import numpy as np

from dgaal_cli.methods.k_center import k_center
from dgaal_cli.scoring.rows import FloatArray, Rows

CANDIDATES = 5
"""Images considered for each one chosen."""
_SLACK = 1_000


class DiverseRanking:
    """``count`` of the best ``CANDIDATES * count`` images, far from one another in feature space.

    Greedy k-center (Sener & Savarese 2018) from the best image on; the table is in order of score.
    """

    def __init__(self, count: int) -> None:
        self._count = count
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
        if self._kept > 2 * CANDIDATES * self._count + _SLACK:
            self._cut()

    def ranked(self) -> Iterator[Rows]:
        """Give the chosen rows, best score first."""
        if not self._parts:
            return iter(())
        rows, features = self._cut()
        others = k_center(features[1:], features[:1], min(self._count, len(rows)) - 1)
        return iter([rows.take(np.array([0, *(1 + place for place in sorted(others))], np.intp))])

    def _cut(self) -> tuple[Rows, FloatArray]:
        """Keep the best candidates, sorted."""
        rows = Rows.joined(self._parts)
        order = rows.order()[: CANDIDATES * self._count]
        best, features = rows.take(order), np.concatenate(self._features)[order]
        self._parts, self._features, self._kept = [best], [features], len(best)
        return best, features
