"""When a phase reports, saves and ends: the only place where training looks at a clock."""

import time
from collections import deque
from collections.abc import Sequence

from dgaal_cli.training.budget import PLANNED_SHARE, PROBE_STEPS, TimeBudget
from dgaal_cli.training.phase import Phase

RECENT_PART = 10
"""The tenth of a phase before now says how long its next steps will take."""


class Clock:
    """Times of one phase from step ``first`` on.

    Args:
        budget: Of the round's time; None sets no limit.
        phase: That runs.
        later: Phases after it.
        first: Step that it begins or goes on with.
        world: Processes that share the work.
    """

    def __init__(
        self,
        budget: TimeBudget | None,
        phase: Phase,
        later: Sequence[Phase],
        first: int,
        *,
        world: int = 1,
    ) -> None:
        self.limit = phase.steps
        self._budget, self._phase, self._first, self._world = budget, phase, first, world
        self._is_planned = budget is None
        self._share = budget.share(phase, later) if budget is not None else None
        self._began = self._told = self._saved = time.perf_counter()
        self._warm = self._now = self._began
        self._marks: deque[tuple[int, float]] = deque()

    def keep(self, limit: int) -> None:
        """Take this number of steps; it was planned, now or before an interruption."""
        self.limit, self._is_planned = limit, True

    def tick(self, step: int) -> None:
        """Note that ``step`` steps are done."""
        self._now = time.perf_counter()
        if step == self._first + 1:
            self._warm = self._now

    def mark(self, step: int) -> None:
        """Note that ``step`` steps are done on the device too, not only asked of it."""
        self._marks.append((step, time.perf_counter()))
        while step - self._marks[0][0] > max(PROBE_STEPS, self.limit // RECENT_PART):
            self._marks.popleft()

    def rate(self, step: int) -> float:
        """Steps a second so far."""
        return (step - self._first) / max(self._now - self._began, 1e-9)

    def is_report_due(self, interval_s: float) -> bool:
        """Tell whether the last report lies back long enough; if so, this one is now."""
        is_due = self._now - self._told >= interval_s
        if is_due:
            self._told = self._now
        return is_due

    def is_save_due(self, interval_s: float) -> bool:
        """Tell whether the last save lies back long enough; if so, this one is now."""
        is_due = self._now - self._saved >= interval_s
        if is_due:
            self._saved = self._now
        return is_due

    def is_planning(self, step: int) -> bool:
        """Tell whether this is the step after which the number of steps is fixed."""
        return not self._is_planned and step - self._first == PROBE_STEPS

    def plan(self) -> int:
        """Return how many steps the budget leaves this phase.

        Raises:
            UsageError: They are fewer than one pass.
        """
        assert self._budget is not None
        assert self._share is not None
        step_s = (self._now - self._warm) / (PROBE_STEPS - 1)
        return self._budget.limit(
            self._phase, share=self._share, step_s=step_s, first=self._first, world=self._world
        )

    def is_behind(self, step: int) -> bool:
        """Tell whether a budgeted phase, once planned, would need more time than it has."""
        return self._is_planned and self._fitting(step, part=1.0) < self.limit

    def hasten(self, step: int) -> int:
        """Return the number of steps that still fits; one more at least, to end the schedule."""
        return max(step + 1, self._fitting(step, part=PLANNED_SHARE))

    def _fitting(self, step: int, *, part: float) -> int:
        """Steps that fit into ``part`` of the time left, if they go on as the recent ones."""
        if self._share is None or not self._marks:
            return self.limit
        (first, then), (last, now) = self._marks[0], self._marks[-1]
        if last - first < PROBE_STEPS - 1:  # too few to tell
            return self.limit
        left = self._share.seconds - (time.perf_counter() - self._began)
        return step + int(part * max(0.0, left) * (last - first) / max(now - then, 1e-9))
