"""The value of guesses for labeling a query: their accuracy, and the keys per label.

Every query is simulated twice: with the task model's guesses, and with those of the learner that is
updated by each answer (``scoring.quick_learner``). A single label takes one key. On the grid, a
page of the most confident guesses takes one key, plus arrows and a class key for each wrong one.
T's penultimate features replace those of the exported sampler.
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
"""Fewer images are answered one by one, since opening the grid takes keys."""
_OPEN_AND_CLOSE = 2

Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.floating]
Guess = Callable[[Labels], Shares]
"""Returns the current probabilities (n, K) of rows."""
Learn = Callable[[int, int], None]
"""Updates the learner with a row and its class."""


def measure_guesses(
    prediction: Prediction, labels: Labels, asked: list[Row], answers: Labels
) -> Guesses | None:
    """Simulate the labeling of a query with guesses shown.

    ``prediction`` is T's of the whole pool; ``labels`` before the query, -1 for none, and the
    oracle's ``answers`` are int64 (N,). None if no pool image was asked.
    """
    rows = np.asarray(asked, dtype=np.int64)
    if not len(rows):
        return None

    live = _LiveLearner(prediction, labels, rows)
    right_live = sum(live.answer(int(row), int(answers[row])) for row in rows)
    on_grid = _LiveLearner(prediction, labels, rows)
    return Guesses(
        images=len(rows),
        right=int((prediction.probabilities[rows].argmax(1) == answers[rows]).sum()),
        right_live=right_live,
        keys=keys_on_grid(rows, answers, prediction.probabilities.__getitem__),
        keys_live=keys_on_grid(rows, answers, on_grid.guess, on_grid.learn),
    )


def keys_on_grid(rows: Labels, answers: Labels, guess: Guess, learn: Learn | None = None) -> int:
    """Count the keys for labeling ``rows``, whose classes are ``answers[rows]``.

    The most confident page is first; ``learn`` is called with every answer.
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
    """Count arrows between wrong cells, in reading order, and one class key for each."""
    keys, x, y = 0, 0, 0
    for cell in cells.tolist():
        line, column = divmod(cell, COLUMNS)
        keys += abs(column - x) + abs(line - y) + 1
        x, y = column, line
    return keys


class _LiveLearner:
    """The learner on the labeled images and the query."""

    def __init__(self, prediction: Prediction, labels: Labels, rows: Labels) -> None:
        known = np.flatnonzero(labels >= 0)
        own = np.concatenate([known, rows])
        self._place = {int(row): place for place, row in enumerate(own)}
        logs = np.log(np.maximum(prediction.probabilities[own], 1e-4))
        columns = np.hstack([prediction.features[own], logs]).astype(np.float32)
        self._learner = QuickLearner(columns, prediction.probabilities[own].astype(np.float32))
        self._learner.fit(np.arange(len(known)), labels[known])

    def guess(self, rows: Labels) -> Shares:
        return self._learner.guess(np.array([self._place[int(row)] for row in rows], np.int64))

    def learn(self, row: int, label: int) -> None:
        self._learner.learn(self._place[row], label)

    def answer(self, row: int, label: int) -> bool:
        """Guess, then learn; return whether the guess was right."""
        is_right = int(self.guess(np.array([row]))[0].argmax()) == label
        self.learn(row, label)
        return is_right
