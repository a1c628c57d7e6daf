"""The normalized affinity of a neighbor graph, as a sparse symmetric matrix."""

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import Floats, Ids
from dgaal_cli.task_heads.neighbors import Neighbors


class Affinity:
    """``S = D^-1/2 W D^-1/2``: W is 1 for mutual neighbors, 1/2 if only one is the other's.

    The matrix is symmetric, its eigenvalues lie in -1..1. Of two or more
    images each has an entry.
    """

    def __init__(self, neighbors: Neighbors) -> None:
        """Make the matrix (N, N) from the neighbors (N, k), which takes about 24 N k bytes."""
        count, width = neighbors.shape
        rows = np.repeat(np.arange(count, dtype=np.int64), width)
        columns = neighbors.reshape(-1).astype(np.int64)
        pairs = np.concatenate([rows * count + columns, columns * count + rows])
        pairs, times = np.unique(pairs, return_counts=True)
        self._rows: Ids = np.floor_divide(pairs, count)
        self._columns: Ids = np.remainder(pairs, count)
        weights = times / 2.0
        degrees = np.bincount(self._rows, weights, minlength=count)
        scale = 1 / np.sqrt(np.maximum(degrees, 0.5))
        self._weights: Floats = weights * scale[self._rows] * scale[self._columns]
        self._starts: Ids = np.flatnonzero(np.diff(self._rows, prepend=-1))
        self._count = count

    def __len__(self) -> int:
        """Return the number of images N."""
        return self._count

    def times(self, values: Floats) -> Floats:
        """Multiply vectors (C, N), one in each row."""
        result = np.zeros_like(values)
        if len(self._columns):
            for row, own in zip(result, values, strict=True):
                row[:] = np.add.reduceat(own[self._columns] * self._weights, self._starts)
        return result

    def reached_from(self, starts: Ids) -> npt.NDArray[np.bool_]:
        """Return (N,): whether a path leads there from one of some positions."""
        is_reached = np.zeros(self._count, np.bool_)
        is_reached[starts] = True
        known = 0
        while (reached := int(is_reached.sum())) > known:
            known = reached
            is_reached[self._rows[is_reached[self._columns]]] = True
        return is_reached
