"""A ranking by coverage: each of the best images as if those chosen before it had labels."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dgaal_cli.artifacts.feature_head import CoverageScore
from dgaal_cli.features.kernel import Floats, Ids, blocks
from dgaal_cli.features.lazy_greedy import TIE, pick_greedily
from dgaal_cli.scoring.rows import BLOCK_ROWS, FloatArray, Rows
from dgaal_cli.scoring.top_candidates import TopCandidates

_MIN_KEPT = 2_000
_CANDIDATES = 5
"""Images considered for each chosen image."""


class RefittedRanking:
    """Chooses ``count`` of the best images as the sampler's rule does in a query.

    The candidates are the ``5 count`` images with the highest scores, at least 2,000. The table is
    ordered by score, and each score is the image's own, without the others.
    """

    def __init__(self, count: int, coverage: CoverageScore) -> None:
        self._count, self._coverage = count, coverage
        self._candidates = TopCandidates(max(_MIN_KEPT, _CANDIDATES * count))

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:
        """Add rows, and the features (n, D) of the readable rows."""
        self._candidates.add(rows, features)

    def ranked(self) -> Iterator[Rows]:
        """Return the chosen rows, best score first."""
        found = self._candidates.best()
        if found is None:
            return iter(())
        rows, features = found
        gains = _Gains(self._coverage, features)
        places = np.arange(len(rows))
        chosen = pick_greedily(gains, places, np.ones(len(rows), np.bool_), self._count)[0]
        return rows.blocks(np.sort(chosen).astype(np.intp), BLOCK_ROWS)


class _Gains:
    """What each candidate adds to the coverage: see ``lazy_greedy.Criterion``. Gains only fall."""

    def __init__(self, coverage: CoverageScore, features: FloatArray) -> None:
        own = coverage.landmarks
        self._weights, self._covered = own.weights, own.floors.copy()
        self._values = np.empty((len(features), len(own.weights)), np.float32)
        for part in blocks(len(features)):
            self._values[part] = coverage.values(features[part].astype(np.float64))
        self._bounds = np.empty(len(features))
        self._is_current = np.zeros(len(features), np.bool_)
        places = np.arange(len(features))
        for part in blocks(len(features)):
            self.refresh(places[part])

    def bounds(self) -> Floats:
        return self._bounds

    def is_exact(self) -> npt.NDArray[np.bool_]:
        return self._is_current | (self._bounds <= TIE)

    def refresh(self, positions: Ids) -> Floats:
        gains = np.maximum(self._values[positions] - self._covered, 0.0) @ self._weights
        self._bounds[positions], self._is_current[positions] = gains, True
        return gains

    def add(self, position: int) -> None:
        self._covered = np.maximum(self._covered, self._values[position])
        self._is_current[:] = False
