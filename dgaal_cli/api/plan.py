"""Plan some hours of labeling."""

from dataclasses import dataclass

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.methods.registry import has_feature_rule
from dgaal_cli.rounds.audit_entries import audited_images, labels_to_learn
from dgaal_cli.rounds.day_plan import Effort, PlannedRound, day_plan
from dgaal_cli.rounds.outlook import accuracy_curve, pace
from dgaal_cli.rounds.state import round_metrics
from dgaal_cli.store.open import store_location
from dgaal_cli.workspace import Workspace

ASSUMED_S = 5.0
"""Seconds for an answer, if none was timed."""
MAX_HOURS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursPlan:
    """How to spend some hours."""

    hours: float
    effort: Effort
    is_pace_known: bool
    """Whether ``effort.answer_s`` is the median of timed answers; else it is assumed."""
    rounds: tuple[PlannedRound, ...]


def plan(workspace: Workspace, config: Config, *, hours: float) -> HoursPlan:
    """Plan queries, training pauses and audits for some hours; changes nothing.

    Args:
        workspace: Workspace to read.
        config: Its configuration.
        hours: Time that a person has, above 0.

    Raises:
        UsageError: ``hours`` is out of range.
    """
    if not 0 < hours <= MAX_HOURS:
        raise UsageError(
            f"--hours is {hours:g}; give a time above 0 and up to {MAX_HOURS:,} hours, as 6"
        )
    with store_location(workspace).open(read_only=True) as store:
        counts, answer_s = store.counts(), pace(store)
        effort = Effort(
            seconds=3600 * hours,
            answer_s=max(0.1, answer_s or ASSUMED_S),
            pause_s=_pause(workspace, config),
            labels=labels_to_learn(store),
            audited=len(audited_images(store)),
            left=_left(config, unlabeled=counts.unlabeled, annotations=counts.annotations),
            size=config.query.size,
        )
        curve = accuracy_curve(workspace, config, store)
    return HoursPlan(
        hours=hours,
        effort=effort,
        is_pace_known=answer_s is not None,
        rounds=tuple(day_plan(effort, curve)),
    )


def _pause(workspace: Workspace, config: Config) -> float:
    """Return the seconds of the newest training; 0 if none is needed or none ended."""
    if config.encoder.source != "pixels" and has_feature_rule(config):
        return 0.0
    metrics = round_metrics(workspace)
    return float(metrics[-1]["seconds"]) if metrics else 0.0


def _left(config: Config, *, unlabeled: int, annotations: int) -> int:
    if not config.query.budget:
        return unlabeled
    return max(0, min(unlabeled, config.query.budget - annotations))
