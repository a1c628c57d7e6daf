"""When a break would do good."""

import statistics
from collections.abc import Callable

REST_S = 25 * 60
"""After so long without a pause the status line suggests one,"""
PAUSE_S = 3 * 60
"""which this long without an answer is;"""
SLOWER = 1.5
"""or when answers take this much longer than the first ``STEADY`` did."""
STEADY = 50
RECENT = 30


class RestReminder:
    """Follows the pace of answers."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = self._last_answer_at = clock()
        self._times: list[int] = []

    @property
    def is_due(self) -> bool:
        """Whether a break would do good."""
        if self._clock() - self._since > REST_S:
            return True
        if len(self._times) < STEADY + RECENT:
            return False
        first = statistics.median(self._times[:STEADY])
        return statistics.median(self._times[-RECENT:]) > SLOWER * first

    def note(self, elapsed_ms: int | None) -> None:
        """Note how long an answer took; a long pause was a rest."""
        now = self._clock()
        if now - self._last_answer_at > PAUSE_S:
            self._since, self._times = now, []
        self._last_answer_at = now
        if elapsed_ms is not None:
            self._times.append(elapsed_ms)
