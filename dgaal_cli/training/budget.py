"""A limit on a round's wall-clock time, kept by taking fewer steps, not by cutting the last ones.

Each phase gets a part of the time that is left, in proportion to its work. A few steps show how
long one takes; then the number of steps is fixed and the whole learning-rate schedule runs in
them, since a schedule that is cut off before its rate has fallen wastes what it learned. Where
steps become slower the schedule is walked through in longer strides still.

Kept are the last weights, the best that the time buys: the rate has fallen when it ends. Weights
from in between, picked by what held-out labels say of them, are left alone: those few labels
measure the round's accuracy, and would measure what they picked too well.
"""

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dgaal_cli.errors import UsageError
from dgaal_cli.training.phase import Phase

PROBE_STEPS = 6
"""Steps after which the time of one is known; the first one, which sets things up, not counted."""
PLANNED_SHARE = 0.9
"""Part of a phase's time that is planned; the rest absorbs slower steps."""
RESERVE = 0.05
"""Part of the whole that is left for measuring and saving."""
MIN_TIME_SHARE = 0.25
"""Part of an equal share of the time that every phase has, however little work it is."""
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``10m`` or ``1.5h`` as seconds.

    Raises:
        UsageError: It is none of these, or not above zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    seconds = float(match[1]) * UNITS[match[2]] if match else 0.0
    if not seconds or not math.isfinite(seconds):
        raise UsageError(f"'{text}' is no time above zero; write 90s, 10m or 1.5h")
    return seconds


def check_left(budget_s: float, spent_s: float, *, number: int) -> None:
    """Refuse to go on where no time is left: what is learned would be cut short for nothing.

    Raises:
        UsageError: It is spent.
    """
    if spent_s >= budget_s * (1 - RESERVE):
        raise UsageError(
            f"round {number} has taken {spent_s:.0f} s of a time budget of {budget_s:g} s; "
            "give more with --time-budget"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A phase's part of a budget."""

    seconds: float
    part: float
    """Of what was left when the phase began, 0..1."""
    spent: float
    """Seconds of the budget that were over by then."""


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Seconds that a round has taken; how long it rested between two runs does not count."""

    before: float = 0.0
    """Seconds of interrupted runs, as far as they were saved."""
    began: float = field(default_factory=lambda: time.perf_counter())  # noqa: PLW0108 - tests turn it

    @property
    def seconds(self) -> float:
        """All until now."""
        return self.before + time.perf_counter() - self.began


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBudget:
    """Seconds that a round may take."""

    seconds: float
    stopwatch: Stopwatch

    def share(self, phase: Phase, later: Sequence[Phase]) -> Share:
        """Return the time that ``phase`` may take, if ``later`` ones are to have theirs."""
        spent = self.stopwatch.seconds
        work = [each.steps * each.cost for each in (phase, *later)]
        least = MIN_TIME_SHARE / len(work)
        part = min(max(work[0] / sum(work), least), 1.0 - least * len(later))
        left = self.seconds * (1 - RESERVE) - spent
        return Share(seconds=max(0.0, left * part), part=part, spent=spent)

    def limit(
        self, phase: Phase, *, share: Share, step_s: float, first: int = 0, world: int = 1
    ) -> int:
        """Return how many steps of ``step_s`` seconds the phase takes, to fit into ``share``.

        Args:
            phase: That runs.
            share: Its time from step ``first`` on.
            step_s: Seconds a step takes.
            first: Steps that were taken before this run.
            world: Processes that share a pass.

        Raises:
            UsageError: They are fewer than one pass.
        """
        fits = first + int(PLANNED_SHARE * share.seconds / step_s)
        least = min(phase.steps, -(-phase.epoch_steps // world))
        if fits < least:
            takes = (least - first) * step_s / PLANNED_SHARE
            needed = math.ceil((share.spent + takes / share.part) / (1 - RESERVE))
            raise UsageError(
                f"a time budget of {self.seconds:g} s leaves {share.seconds:.2g} s for "
                f"'{phase.title}', and one pass of it takes about {takes:.2g} s here; "
                f"give at least {needed} s"
            )
        return min(phase.steps, fits)
