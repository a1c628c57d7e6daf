"""Remind the person to take a break."""

import statistics
from collections.abc import Callable

REST_S = 25 * 60
"""A break is due after this time without a pause."""
PAUSE_S = 3 * 60
"""This time without an answer is a pause."""
SLOWER = 1.5
"""A break is also due if recent answers take this factor longer than the first ones (medians)."""
STEADY = 50
"""Number of first answers."""
RECENT = 30
"""Number of recent answers."""


class RestReminder:
    """Tracks the time per answer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = self._last_answer_at = clock()
        self._times: list[int] = []

    @property
    def is_due(self) -> bool:
        """Whether a break is due."""
        if self._clock() - self._since > REST_S:
            return True
        if len(self._times) < STEADY + RECENT:
            return False
        first = statistics.median(self._times[:STEADY])
        return statistics.median(self._times[-RECENT:]) > SLOWER * first

    def note(self, elapsed_ms: int | None) -> None:
        """Record the time of an answer; a long pause resets the reminder."""
        now = self._clock()
        if now - self._last_answer_at > PAUSE_S:
            self._since, self._times = now, []
        self._last_answer_at = now
        if elapsed_ms is not None:
            self._times.append(elapsed_ms)
