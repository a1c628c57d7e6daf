"""What guesses are worth to whoever labels a query: how often they are right, and keys a label.

Played twice over every query: with the task model's guesses, and with those of the learner that
learns from each answer (``scoring.quick_learner``). A label given singly takes one key. On the grid
a page of the surest guesses takes one for all, and for each wrong one the arrows to it and its
class's key. T's own penultimate features stand for those that the exported sampler gives.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dgaal_cli.ids import Row
from dgaal_cli.scoring.quick_learner import QuickLearner
from dgaal_cli.simulation.records import Guesses
from dgaal_cli.training.task import Prediction

COLUMNS, LINES = 6, 3
PAGE = COLUMNS * LINES
_MIN_PAGE = PAGE // 2
"""Fewer images are answered singly: opening the grid costs keys, too."""
_OPEN_AND_CLOSE = 2

Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.floating]
Guess = Callable[[Labels], Shares]
"""Probabilities (n, K) for rows, as they are known now."""
Learn = Callable[[int, int], None]
"""Takes a row and its class."""


def measure_guesses(
    said: Prediction, labels: Labels, asked: list[Row], answers: Labels
) -> Guesses | None:
    """Label a query with guesses in sight, by someone who knows every class.

    Args:
        said: T's answer on the whole pool.
        labels: int64 (N,): before the query; -1 unlabeled.
        asked: Rows of the query, first pick first.
        answers: int64 (N,): what the oracle says.

    Returns:
        None where nothing of the pool was asked.
    """
    rows = np.asarray(asked, dtype=np.int64)
    if not len(rows):
        return None

    def fixed(some: Labels) -> Shares:
        return said.probabilities[some]

    live = _Live(said, labels, rows)
    right_live = sum(live.answer(int(row), int(answers[row])) for row in rows)
    again = _Live(said, labels, rows)
    return Guesses(
        images=len(rows),
        right=int((fixed(rows).argmax(1) == answers[rows]).sum()),
        right_live=right_live,
        keys=keys_on_grid(rows, answers, fixed),
        keys_live=keys_on_grid(rows, answers, again.guess, again.learn),
    )


def keys_on_grid(rows: Labels, answers: Labels, guess: Guess, learn: Learn | None = None) -> int:
    """Count the keys that label ``rows``, the surest page first.

    Args:
        rows: What is to be labeled.
        answers: Classes by row.
        guess: Asked anew for every page.
        learn: Told every answer; None where nobody learns meanwhile.
    """
    left, keys = rows, 0
    while len(left) >= _MIN_PAGE:
        shares = guess(left)
        order = np.argsort(-shares.max(1), kind="stable")[:PAGE]
        page = left[order]
        is_wrong = shares[order].argmax(1) != answers[page]
        keys += 1 + _keys_for_wrong(np.flatnonzero(is_wrong))
        if learn is not None:
            for row in page.tolist():
                learn(row, int(answers[row]))
        left = np.delete(left, order)
    opened = _OPEN_AND_CLOSE if len(left) < len(rows) else 0
    return keys + opened + len(left)


def _keys_for_wrong(cells: Labels) -> int:
    """Arrows from wrong cell to wrong cell, in reading order, and a class key for each."""
    keys, x, y = 0, 0, 0
    for cell in cells.tolist():
        line, column = divmod(cell, COLUMNS)
        keys += abs(column - x) + abs(line - y) + 1
        x, y = column, line
    return keys


class _Live:
    """The learner over the labeled images and the query."""

    def __init__(self, said: Prediction, labels: Labels, rows: Labels) -> None:
        known = np.flatnonzero(labels >= 0)
        own = np.concatenate([known, rows])
        self._place = {int(row): place for place, row in enumerate(own)}
        logs = np.log(np.maximum(said.probabilities[own], 1e-4))
        columns = np.hstack([said.features[own], logs]).astype(np.float32)
        self._learner = QuickLearner(columns, said.probabilities[own].astype(np.float32))
        self._learner.fit(np.arange(len(known)), labels[known])

    def guess(self, rows: Labels) -> Shares:
        return self._learner.guess(np.array([self._place[int(row)] for row in rows], np.int64))

    def learn(self, row: int, label: int) -> None:
        self._learner.learn(self._place[row], label)

    def answer(self, row: int, label: int) -> bool:
        """Guess, then learn; tells whether the guess was right."""
        is_right = int(self.guess(np.array([row]))[0].argmax()) == label
        self.learn(row, label)
        return is_right
