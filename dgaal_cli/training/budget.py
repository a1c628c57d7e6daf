"""A limit on a round's wall-clock time, kept by planning fewer steps, not by cutting the last ones.

Each phase gets a part of the remaining time, in proportion to its work. A few steps are timed; then
the number of steps is fixed and the whole learning-rate schedule is compressed into them, because a
schedule that is cut off before its rate has fallen gives worse weights. If steps become slower, the
schedule is compressed further.

The last weights are kept. Earlier weights are not selected by accuracy on held-out labels: those
few labels measure the round's accuracy, and a selection by them would make it too high.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dgaal_cli.errors import UsageError
from dgaal_cli.events import ReadProgress
from dgaal_cli.training.phase import Phase

PROBE_STEPS = 6
"""Steps after which the time of a step is known; the first one, which sets up, is not timed."""
PLANNED_SHARE = 0.9
"""Share of a phase's time that is planned; the rest absorbs slower steps."""
RESERVE = 0.05
"""Share of the whole budget that is reserved for measuring and saving."""
MIN_TIME_SHARE = 0.25
"""Minimum time of a phase, as a part of an equal share of the time."""
MEASURED_S = 1.0
"""Seconds of reading after which its rate is known."""
SAMPLE_MARGIN = 1.25
"""Factor by which the whole pool may be read faster than a sample of it."""


def check_left(budget_s: float, spent_s: float, *, number: int) -> None:
    """Check that a round to be resumed has time left.

    Raises:
        UsageError: The budget is spent.
    """
    if spent_s >= budget_s * (1 - RESERVE):
        raise UsageError(
            f"round {number} has taken {spent_s:.0f} s of a time budget of {budget_s:g} s; "
            "give more with --time-budget"
        )


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Seconds that a round has taken; the time between two runs does not count."""

    before: float = 0.0
    """Seconds of interrupted runs up to their last save."""
    began: float = field(default_factory=lambda: time.perf_counter())  # noqa: PLW0108 - tests replace it

    @property
    def seconds(self) -> float:
        """Total so far."""
        return self.before + time.perf_counter() - self.began


def check_reading(progress: ReadProgress, budget_s: float, stopwatch: Stopwatch) -> None:
    """Check, while the pool is read, that reading it leaves time to train.

    Raises:
        UsageError: At the measured rate, reading alone takes longer than the budget.
    """
    if progress.total is None:
        return
    takes_s = stopwatch.seconds
    if 0 < progress.rate * MEASURED_S <= progress.done:
        takes_s += (progress.total - progress.done) / progress.rate
    needed_s = math.ceil(takes_s / (1 - RESERVE))
    if needed_s > budget_s:
        raise UsageError(
            f"a time budget of {budget_s:g} s is too short: reading the {progress.total:,} images "
            f"of the pool takes {takes_s:.0f} s or more here, and training comes after it; "
            f"give more than {needed_s} s"
        )


def time_share(phase: Phase, later: Sequence[Phase]) -> float:
    """Return the part of the remaining time for ``phase``, 0..1; ``later`` phases keep theirs."""
    work = [each.steps * each.cost for each in (phase, *later)]
    minimum = MIN_TIME_SHARE / len(work)
    return min(max(work[0] / sum(work), minimum), 1.0 - minimum * len(later))
