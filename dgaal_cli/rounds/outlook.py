"""May labeling stop: how far the goals are, what more labels bring, and one sentence about it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgaal_cli.audit.estimate import LEVEL, MIN_AUDITED, Interval, estimate
from dgaal_cli.audit.goal import Bounds, Goal
from dgaal_cli.config.schema import Config
from dgaal_cli.rounds.audit_entries import audited_images, is_audit
from dgaal_cli.rounds.audit_estimate import PoolEstimate, class_answers
from dgaal_cli.rounds.audit_record import AuditRecord, read_records
from dgaal_cli.rounds.goals import goals_of
from dgaal_cli.store.protocol import Store
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.audit.classes import ClassAnswer
    from dgaal_cli.audit.forecast import Forecast, LabelsAhead
    from dgaal_cli.audit.stopping import Criterion

MORE = 100
"""Labels for which the gain is stated."""
_PACED = 200
"""Newest events from which the pace is taken."""
_LONGEST_S = 30.0
"""Seconds of one answer above which it is a pause."""
_Z = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalState:
    """How far one goal is."""

    goal: Goal
    bounds: Bounds
    """They hold however often one looks."""
    ahead: "LabelsAhead | None"
    """Labels that are needed in addition; None without a forecast."""

    @property
    def is_reached(self) -> bool:
        """Whether the audit shows that the goal is reached."""
        return self.bounds.low >= self.goal.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a person needs to decide whether to stop."""

    goals: tuple[GoalState, ...]
    accuracy: Interval | None
    """Accuracy after 100 more labels, with the interval of the forecast; None without one."""
    gain: Interval | None
    """By how much they raise it."""
    answer_s: float | None
    """Median seconds of the newest answers; None without any."""
    criteria: "tuple[Criterion, ...]"
    """Stopping criteria of the field."""
    verdict: str
    """One sentence; empty if there is nothing to say."""


def outlook(
    workspace: Workspace,
    config: Config,
    store: Store,
    found: PoolEstimate,
    until: Goal | None = None,
) -> Outlook:
    """Look ahead from the audits of all rounds.

    Args:
        workspace: Workspace to read.
        config: Its configuration; ``goal`` is used.
        store: Its store.
        found: Estimate of the newest model.
        until: The goal to judge instead of the configured ones.
    """
    from dgaal_cli.audit.goal_bounds import goal_bounds

    goals = [until] if until else goals_of(config.goal, store.classes())
    given = _answers_of_models(workspace, config, store)
    curve = _forecast(given, Goal(kind="accuracy", target=1.0))
    left, states = store.counts().unlabeled, list[GoalState]()
    for goal in goals:
        own = curve if goal.kind == "accuracy" else _forecast(given, goal)
        states.append(
            GoalState(
                goal=goal,
                bounds=goal_bounds(found.in_order, goal, found.level),
                ahead=own and own.labels_to(goal.target),
            )
        )
    answer_s = pace(store)
    return Outlook(
        goals=tuple(states),
        accuracy=curve and curve.accuracy(MORE),
        gain=curve and curve.gain(MORE),
        answer_s=answer_s,
        criteria=_criteria(store, given),
        verdict=verdict(states, curve and curve.gain(MORE), answer_s=answer_s, left=left),
    )


def verdict(
    states: Sequence[GoalState], gain: Interval | None, *, answer_s: float | None, left: int
) -> str:
    """Return one sentence: whether to stop, else what is missing.

    Args:
        states: The goals.
        gain: What 100 more labels bring.
        answer_s: Seconds per label.
        left: Unlabeled images of the pool.
    """
    missing = [state for state in states if not state.is_reached]
    if states and not missing:
        reached = "; ".join(f"{_name(s.goal)} is at least {s.bounds.low:.1%}" for s in states)
        return f"you may stop: {reached}"
    if not states:
        return "" if gain is None else f"{MORE} more labels likely bring {_points(gain)}"
    state = missing[0]
    name, target, bounds = _name(state.goal), f"{state.goal.target:.1%}", state.bounds
    if state.goal.kind != "accuracy" and state.goal.uid is None:
        return f"the goal for {name} cannot be judged: no class has this name"
    known = f"between {bounds.low:.1%} and {bounds.high:.1%}"
    if bounds.high < state.goal.target:
        known = f"at most {bounds.high:.1%}"
    return f"not yet: {name} is {known}, the goal is {target}; {_need(state, answer_s, left)}"


def _need(state: GoalState, answer_s: float | None, left: int) -> str:
    """Return what reaching a goal needs."""
    ahead = state.ahead
    if ahead is None:
        return "three measured models are needed to say how many labels are missing"
    if ahead.low > left:
        return "more labels of this pool likely do not reach it"
    if ahead.median < 1:
        return "the model likely reaches it, and an audit of more images can show it"
    least = math.ceil(ahead.low)
    # The interval, since the median is often far off.
    if ahead.high > left:
        return f"at least {least:,} more labels, perhaps more than the pool has"
    labels = f"{least:,} to {math.ceil(ahead.high):,} more labels"
    if not answer_s:
        return labels
    minutes = [max(1, round(count * answer_s / 60)) for count in (ahead.low, ahead.high)]
    return f"{labels}, {minutes[0]:,} to {minutes[1]:,} minutes at this pace"


def _name(goal: Goal) -> str:
    return "accuracy" if goal.kind == "accuracy" else f"{goal.kind} of {goal.class_name}"


def _points(gain: Interval) -> str:
    low, high = 100 * gain.low, 100 * gain.high
    return f"{100 * gain.value:+.1f} points of accuracy ({low:+.1f} to {high:+.1f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    record: AuditRecord
    answers: "list[ClassAnswer]"


def _answers_of_models(workspace: Workspace, config: Config, store: Store) -> list[_Model]:
    """Return each round's model with the audited images that it predicts."""
    images, text = audited_images(store), load_task(config.task).text
    verdicts = store.verdicts(items=[i.item_id for i in images])
    return [
        _Model(
            record=record,
            answers=[*class_answers(images, verdicts, record.predicted, text).values()],
        )
        for record in read_records(workspace)
    ]


def accuracy_curve(workspace: Workspace, config: Config, store: Store) -> "Forecast | None":
    """Return the learning curve ahead; None until an audit measured three models."""
    models = _answers_of_models(workspace, config, store)
    return _forecast(models, Goal(kind="accuracy", target=1.0))


def _forecast(models: Sequence[_Model], goal: Goal) -> "Forecast | None":
    from dgaal_cli.audit.forecast import MeasuredModel, forecast

    measured: list[MeasuredModel] = []
    for model in models:
        found = _measure(model.answers, goal)
        if found is not None and model.record.labels:
            deviation = (found.high - found.low) / (2 * _Z)
            measured.append(
                MeasuredModel(labels=model.record.labels, accuracy=found.value, deviation=deviation)
            )
    return forecast(measured)


def _measure(answers: "Sequence[ClassAnswer]", goal: Goal) -> Interval | None:
    from dgaal_cli.audit.classes import class_estimates

    if goal.kind == "accuracy":
        enough = len(answers) >= MIN_AUDITED
        return estimate([each.answer for each in answers], LEVEL) if enough else None
    if goal.uid is None:
        return None
    found = class_estimates(answers, [goal.uid])[0]
    return found.recall if goal.kind == "recall" else found.precision


def pace(store: Store) -> float | None:
    """Return the median seconds of the newest timed answers; None without any."""
    times = [e.elapsed_ms / 1000 for e in store.latest_events(_PACED) if e.elapsed_ms is not None]
    return statistics.median(min(time, _LONGEST_S) for time in times) if times else None


def _criteria(store: Store, models: Sequence[_Model]) -> "tuple[Criterion, ...]":
    from dgaal_cli.audit.stopping import criteria

    query = store.last_query()
    own = [e for e in query.entries if not is_audit(e.reason)] if query else []
    doubts = [1 - entry.probabilities[0][1] for entry in own if entry.probabilities]
    goal = Goal(kind="accuracy", target=1.0)
    measured = [_measure(model.answers, goal) for model in models]
    found = criteria(
        [model.record.predicted for model in models],
        pool_uncertainty=models[-1].record.uncertainty if models else None,
        query_uncertainty=max(doubts, default=None),
        accuracies=[each.value for each in measured if each is not None],
    )
    return tuple(found)
