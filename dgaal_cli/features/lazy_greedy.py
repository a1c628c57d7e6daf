"""Greedy picks by a value that changes with every pick, without computing every value again.

Every row has an upper bound of its value, such as its value before the last picks. Only rows whose
bound reaches the best known value are computed again (Minoux 1978). The picks are those of the
plain greedy rule.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import Floats, Ids

TIE = 1e-9
"""Values that differ by at most this much are equal: rounding depends on the order of rows."""
_FIRST_PART = 256


class Criterion(Protocol):
    """The value of each of N rows, given the rows picked so far."""

    def bounds(self) -> Floats:
        """Return an upper bound of each row's current value, float64 (N,)."""
        ...

    def is_exact(self) -> npt.NDArray[np.bool_]:
        """Return which bounds are the values, up to ``TIE``; (N,)."""
        ...

    def refresh(self, positions: Ids) -> Floats:
        """Compute the current values of some rows, (n,); their bounds become exact."""
        ...

    def add(self, position: int) -> None:
        """Pick a row."""
        ...


def pick_greedily(
    criterion: Criterion, ids: Ids, is_open: npt.NDArray[np.bool_], count: int
) -> tuple[Ids, Floats]:
    """Pick the row with the highest value ``count`` times; of equal ones that with the lowest id.

    Args:
        criterion: Values of the rows.
        ids: Id of each row, (N,), unique.
        is_open: Which rows may be picked, (N,).
        count: Number of picks; all open rows if there are fewer.

    Returns:
        Positions, first pick first, and the value of each when it was picked.
    """
    is_open = is_open.copy()
    positions: list[int] = []
    values: list[float] = []
    for _ in range(min(count, int(is_open.sum()))):
        position, value = _best(criterion, ids, is_open)
        criterion.add(position)
        is_open[position] = False
        positions.append(position)
        values.append(value)
    return np.array(positions, np.int64), np.array(values, np.float64)


def _best(criterion: Criterion, ids: Ids, is_open: npt.NDArray[np.bool_]) -> tuple[int, float]:
    values = np.where(is_open, criterion.bounds(), -np.inf)
    is_exact = criterion.is_exact() & is_open
    part = _FIRST_PART
    while True:
        best = values[is_exact].max(initial=-np.inf)
        stale = np.flatnonzero(is_open & ~is_exact & (values >= best - TIE))
        if not len(stale):
            tied = np.flatnonzero(is_exact & (values >= best - TIE))
            position = int(tied[ids[tied].argmin()])
            return position, float(values[position])
        if len(stale) > part:
            stale = stale[np.argpartition(-values[stale], part)[:part]]
        values[stale] = criterion.refresh(stale)
        is_exact[stale] = True
        part *= 2
