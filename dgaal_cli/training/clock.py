"""When a phase reports, saves and ends: the only place where training looks at a clock."""

import time
from collections.abc import Sequence

from dgaal_cli.training.budget import PROBE_STEPS, TimeBudget
from dgaal_cli.training.phase import Phase


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

    def keep(self, limit: int) -> None:
        """Take this number of steps; it was planned, now or before an interruption."""
        self.limit, self._is_planned = limit, True

    def tick(self, step: int) -> None:
        """Note that ``step`` steps are done."""
        self._now = time.perf_counter()
        if step == self._first + 1:
            self._warm = self._now

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

    def is_late(self) -> bool:
        """Tell whether a budgeted phase, once planned, has used up its time."""
        if self._share is None or not self._is_planned:
            return False
        return self._now - self._began > self._share.seconds
