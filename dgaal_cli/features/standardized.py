"""Features of a pool as networks and rules take them: standardized rows, read when needed."""

from typing import Protocol, Self, cast

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.shard import Rows

Index = npt.NDArray[np.int64]

_BLOCK = 8192
"""Rows that are read at once for the mean."""
_MIN_DEVIATION = 1e-6
"""A smaller one is that of a constant feature, which is then zero."""
_MIN_LENGTH = 1e-12


class StoredRows(Protocol):
    """Rows (N, D) on disk or in memory: an array or ``cache.CachedRows``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and D."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, which: slice | Index, /) -> Rows: ...


class StandardizedRows:
    """Chosen rows of a pool, less their mean and divided by their deviation over the pool.

    ``rows[index]`` with a slice, mask or array of positions chooses rows without reading them;
    ``numpy.asarray(rows)`` reads them as float32.
    """

    def __init__(
        self, stored: StoredRows, mean: Rows, deviation: Rows, chosen: Index | None = None
    ) -> None:
        """Choose rows; None chooses all.

        Args:
            stored: Rows (N, D).
            mean: (D,), float32.
            deviation: (D,), float32, above 0.
            chosen: Positions (n,).
        """
        self._stored, self.mean, self.deviation = stored, mean, deviation
        self._chosen = np.arange(len(stored), dtype=np.int64) if chosen is None else chosen
        self.shape = (len(self._chosen), stored.shape[1])
        self.nbytes = 4 * self.shape[0] * self.shape[1]

    @classmethod
    def of_pool(cls, stored: StoredRows) -> Self:
        """Standardize rows by their own mean and deviation, which are computed in blocks."""
        count, width = stored.shape
        total, squares = np.zeros(width), np.zeros(width)
        shift = np.zeros(width)  # squares of features far from zero would lose digits
        for start in range(0, count, _BLOCK):
            block = np.asarray(stored[start : start + _BLOCK], dtype=np.float64)
            if not start:
                shift = block.mean(axis=0)
            total += (block - shift).sum(axis=0)
            squares += ((block - shift) ** 2).sum(axis=0)
        mean = total / max(1, count)
        deviation = np.sqrt(np.maximum(squares / max(1, count) - mean**2, 0))
        deviation[deviation < _MIN_DEVIATION] = 1
        return cls(stored, (mean + shift).astype(np.float32), deviation.astype(np.float32))

    @property
    def stored(self) -> StoredRows:
        """All rows as they are stored: neither chosen nor standardized."""
        return self._stored

    def like_pool(self, others: StoredRows | Rows) -> "StandardizedRows":
        """Return other rows (M, D) of the same space, standardized by this pool."""
        return StandardizedRows(cast("StoredRows", others), self.mean, self.deviation)

    def __len__(self) -> int:
        """Return the number of chosen rows."""
        return self.shape[0]

    def __getitem__(self, which: "slice | npt.NDArray[np.int64 | np.bool_]") -> "StandardizedRows":
        """Choose among the chosen rows."""
        return StandardizedRows(self._stored, self.mean, self.deviation, self._chosen[which])

    def __array__(
        self,
        dtype: npt.DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 - the protocol of numpy
    ) -> npt.NDArray[np.float32]:
        """Read the rows as float32 (n, D)."""
        del copy  # always a new array
        rows = np.asarray(self._stored[self._chosen], dtype=np.float32)
        return ((rows - self.mean) / self.deviation).astype(dtype or np.float32, copy=False)


class UnitRows:
    """Standardized rows, scaled to length 1 as they are read: their distances follow the cosine.

    Rules that compare rows read the same ones in a workspace and in a simulation.
    """

    def __init__(self, rows: StandardizedRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __getitem__(self, which: "slice | npt.NDArray[np.int64 | np.bool_]", /) -> Rows:
        """Return rows (n, D), float32; a row of zeros stays zero."""
        found = np.asarray(self._rows[which])
        return found / np.linalg.norm(found, axis=1, keepdims=True).clip(_MIN_LENGTH)
