"""The best rows of a run with their features, within bounded memory."""

import numpy as np

from dgaal_cli.scoring.rows import FloatArray, Rows


class TopCandidates:
    """Keeps the ``limit`` best readable rows, and their features."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[Rows] = []
        self._features: list[FloatArray] = []
        self._kept = 0

    def __len__(self) -> int:
        """Return the number of rows in memory: at most twice the limit and one part."""
        return self._kept

    def add(self, rows: Rows, features: FloatArray | None) -> None:
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
            self.best()

    def best(self) -> tuple[Rows, FloatArray] | None:
        """Return the best rows so far, best first, and their features; None without any."""
        if not self._parts:
            return None
        rows = Rows.concatenate(self._parts)
        order = rows.order()[: self._limit]
        best, features = rows.take(order), np.concatenate(self._features)[order]
        self._parts, self._features, self._kept = [best], [features], len(best)
        return best, features
