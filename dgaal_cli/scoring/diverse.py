"""The best images, spread out: near-duplicates of a good image do not take the places of others."""

from collections.abc import Iterable, Iterator

import numpy as np

from dgaal_cli.methods.k_center import k_center
from dgaal_cli.scoring.ranking import FloatArray
from dgaal_cli.scoring.rows import Row

CANDIDATES = 5
"""Images considered for each one chosen."""
_SLACK = 1_000


class DiverseRanking:
    """``count`` of the best ``CANDIDATES * count`` images, far from one another in feature space.

    Greedy k-center (Sener & Savarese 2018) from the best image on; the table is in order of score.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: list[Row] = []
        self._features: list[FloatArray] = []

    def add(self, rows: Iterable[Row], features: FloatArray | None = None) -> None:
        """Take rows, and the features (n, Z) of the readable ones among them."""
        readable = [row for row in rows if not row.is_unreadable]
        if not readable:
            return
        assert features is not None, "features were not kept"
        assert len(features) == len(readable)
        self._rows += readable
        self._features.append(features)
        if len(self._rows) > 2 * CANDIDATES * self._count + _SLACK:
            self._cut()

    def ranked(self) -> Iterator[Row]:
        """Give the chosen rows, best score first."""
        if not self._rows:
            return iter(())
        self._cut()
        features = self._features[0]
        others = k_center(features[1:], features[:1], min(self._count, len(self._rows)) - 1)
        return iter([self._rows[0], *(self._rows[1 + place] for place in sorted(others))])

    def _cut(self) -> None:
        """Keep the best candidates, sorted."""
        order = sorted(range(len(self._rows)), key=self._rows.__getitem__)
        order = order[: CANDIDATES * self._count]
        self._rows = [self._rows[place] for place in order]
        self._features = [np.concatenate(self._features)[order]]
