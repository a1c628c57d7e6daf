"""When a phase reports, saves and ends: the only place where training reads a clock."""

import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

from dgaal_cli.errors import UsageError
from dgaal_cli.training.budget import PLANNED_SHARE, PROBE_STEPS, RESERVE, Stopwatch, time_share
from dgaal_cli.training.phase import Phase

RECENT_PART = 10
"""One in this many of a phase's steps, the newest ones, predict the time of the next steps."""


class Clock:
    """Times of one phase from step ``first`` on.

    Args:
        budget_s: Time budget of the round in seconds; None sets no limit.
        later: Phases after it.
        first: Step that it starts or resumes with.
        world: Processes that share the work.
    """

    def __init__(
        self,
        budget_s: float | None,
        stopwatch: Stopwatch,
        phase: Phase,
        later: Sequence[Phase],
        first: int,
        *,
        world: int = 1,
    ) -> None:
        self.limit = phase.steps
        self._budget_s, self._phase, self._first, self._world = budget_s, phase, first, world
        self._is_planned = budget_s is None
        self._spent_s, self._part = stopwatch.seconds, time_share(phase, later)
        left_s = math.inf if budget_s is None else budget_s * (1 - RESERVE) - self._spent_s
        self._seconds = max(0.0, left_s * self._part)
        self._began = self._warm = self._now = time.perf_counter()
        self._made: dict[str, float] = {}
        self._marks: deque[tuple[int, float]] = deque()

    def fix_limit(self, limit: int) -> None:
        """Set the number of steps, as planned now or before an interruption."""
        self.limit, self._is_planned = limit, True

    def tick(self, step: int) -> None:
        """Note that ``step`` steps are done."""
        self._now = time.perf_counter()
        if step == self._first + 1:
            self._warm = self._now

    def mark(self, step: int) -> None:
        """Note that the device has finished ``step`` steps, not only received them."""
        self._marks.append((step, time.perf_counter()))
        while step - self._marks[0][0] > max(PROBE_STEPS, self.limit // RECENT_PART):
            self._marks.popleft()

    def rate(self, step: int) -> float:
        """Return the steps per second so far."""
        return (step - self._first) / max(self._now - self._began, 1e-9)

    def is_due(self, kind: Literal["report", "save"], interval_s: float) -> bool:
        """Return whether a report or a save is due; if so, count it as made."""
        is_due = self._now - self._made.get(kind, self._began) >= interval_s
        if is_due:
            self._made[kind] = self._now
        return is_due

    def is_planning(self, step: int) -> bool:
        """Return whether the number of steps is planned after this step."""
        return not self._is_planned and step - self._first == PROBE_STEPS

    def plan(self) -> int:
        """Return how many steps of this phase fit into the budget.

        Raises:
            UsageError: Less than one pass fits.
        """
        step_s = (self._now - self._warm) / (PROBE_STEPS - 1)
        phase, fits = self._phase, self._first + int(PLANNED_SHARE * self._seconds / step_s)
        minimum = min(phase.steps, -(-phase.epoch_steps // self._world))
        if fits < minimum:
            takes = (minimum - self._first) * step_s / PLANNED_SHARE
            needed = math.ceil((self._spent_s + takes / self._part) / (1 - RESERVE))
            raise UsageError(
                f"a time budget of {self._budget_s:g} s leaves {self._seconds:.2g} s for "
                f"'{phase.title}', and one pass of it takes about {takes:.2g} s here; "
                f"give at least {needed} s"
            )
        return min(phase.steps, fits)

    def is_behind(self, step: int) -> bool:
        """Return whether a planned phase would need more time than it has."""
        return self._is_planned and self._fitting(step, part=1.0) < self.limit

    def reduced_limit(self, step: int) -> int:
        """Return how many steps still fit; at least one more, to end the schedule."""
        return max(step + 1, self._fitting(step, part=PLANNED_SHARE))

    def _fitting(self, step: int, *, part: float) -> int:
        """Return the steps that fit into ``part`` of the remaining time at the recent rate."""
        if self._budget_s is None or not self._marks:
            return self.limit
        (first, then), (last, now) = self._marks[0], self._marks[-1]
        if last - first < PROBE_STEPS - 1:  # too few to measure
            return self.limit
        left = self._seconds - (time.perf_counter() - self._began)
        return step + int(part * max(0.0, left) * (last - first) / max(now - then, 1e-9))
