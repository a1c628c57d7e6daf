"""``dgaal status``."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.status import Status
    from dgaal_cli.audit.estimate import Interval
    from dgaal_cli.rounds.audit_estimate import PoolEstimate

LISTED = 5
NOT_REACHED = 5
"""Exit code of ``--until``, the one of a check that failed."""
_SINCE_INIT = {"missing": "its file is gone", "changed": "its file was replaced"}


def status(
    ctx: typer.Context,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="GOAL",
            help="Accuracy, such as 0.95, or recall:CLASS=0.9 or precision:CLASS=0.9: exit with 0 "
            "if the audited images show that the model reaches it on the pool, else with 5.",
        ),
    ] = None,
) -> None:
    """Show the state of the workspace and the next command."""
    from dgaal_cli.api.status import status as read

    context: Context = ctx.obj
    workspace = context.workspace()
    found = read(workspace, context.config(), until=until)
    document = {"workspace": str(workspace.root), **_document(found)}
    if until is None:
        if not context.printed_json(document):
            _print(context, found, str(workspace.root))
        return
    state = found.outlook.goals[0] if found.outlook else None
    verdict = _verdict(found, until)
    reached: dict[str, Any] = {"goal": until, "is_reached": state is not None and state.is_reached}
    if state is not None and state.goal.kind == "accuracy":
        reached["accuracy"] = state.goal.target
    if not context.printed_json(document | {"until": reached | {"verdict": verdict}}):
        print(show(verdict))
    if not reached["is_reached"]:
        raise typer.Exit(NOT_REACHED)


def _print(context: Context, found: "Status", root: str) -> None:
    counts = found.counts
    print(f"{show(found.name)}  ({show(root)}, method {found.method})")
    budget = f" of a budget of {found.budget}" if found.budget else ""
    print(
        f"  {counts.items} images: {counts.labeled} labeled, {counts.unlabeled} unlabeled, "
        f"{counts.cannot_tell} can't tell; {counts.annotations} annotations{budget}"
    )
    if counts.synthetic:
        print(f"  {counts.synthetic} synthetic images, {counts.synthetic_labeled} labeled")
    if found.groups:
        alone = counts.items - found.grouped
        print(f"  {found.groups} groups of images; {alone} images are a group of their own")
    for record in found.classes:
        print(f"    {counts.by_class.get(record.uid, 0):>6}  {show(record.name)}")
    _print_rounds(found)
    if found.model is not None:
        print(f"  task model of round {found.model.round}: {show(found.model.in_words)}")
    _print_audit(found)
    _print_accepted(found, context.dgaal)
    _print_some("unreadable", [f"{show(i)}: {show(reason)}" for i, reason in found.unreadable])
    _print_some("left out", [f"{show(i)}: {_SINCE_INIT[state]}" for i, state in found.left_out])
    if found.pool_problem:
        print(f"  {show(found.pool_problem)}")
    if found.growth:
        print(f"  {show(found.growth)}")
    if found.artifacts:
        print(f"  artifacts: {show(', '.join(found.artifacts))}")
    if found.state.damage:
        print(f"  {found.state.damage}")
    if found.not_backed_up:
        print(
            f"  the last automatic backup failed: {found.not_backed_up:,} answers have no backup; "
            f"'{context.dgaal} labels backup' creates one or reports the error"
        )
    print(f"  {_state_line(found)}")
    print(f"next: {context.dgaal} {found.next_step}")


def _print_some(title: str, lines: Sequence[str]) -> None:
    for line in lines[:LISTED]:
        print(f"  {title}: {line}")
    if len(lines) > LISTED:
        print(f"  ... and {len(lines) - LISTED} more {title} (--json lists all)")


def _print_rounds(found: "Status") -> None:
    for metrics in found.curve:
        accuracy = metrics["accuracy"]
        measured = (
            "no accuracy"
            if accuracy is None
            else f"accuracy {accuracy:.1%} on {metrics['measured_count']} {metrics['measured_on']}"
        )
        print(f"  round {metrics['round']}: {metrics['labels']} labels, {measured}")


def _print_audit(found: "Status") -> None:
    """Print what audited images say of the model, of each class and of the goals."""
    estimate, ahead = found.estimate, found.outlook
    if estimate is None:
        return
    print(f"  {estimate.in_words}")
    if estimate.accuracy is not None:
        _print_classes(found, estimate)
    if ahead is not None and ahead.verdict:
        print(f"  {show(ahead.verdict)}")


def _print_accepted(found: "Status", dgaal: str) -> None:
    """Print how many accepted predictions stand, and how to take them back."""
    if found.accepted_problem:
        print(f"  {show(found.accepted_problem)}")
    accepted = found.accepted
    if accepted is not None:
        print(
            f"  {found.accepted_standing:,} predictions stand accepted by {show(accepted.by)}, no "
            f"labels: at most {accepted.error_at_most:.1%} were wrong when they were accepted (at "
            f"{accepted.level:.0%}); '{dgaal} labels accept-predicted --revoke' takes them back"
        )


def _print_classes(found: "Status", estimate: "PoolEstimate") -> None:
    if estimate.balanced is not None:
        print(f"  balanced accuracy: {_interval(estimate.balanced)}")
    names = {record.uid: record.name for record in found.classes}
    for each in estimate.classes:
        recall = "recall: too few to tell" if each.recall is None else _share("recall", each.recall)
        precision = "" if each.precision is None else f", {_share('precision', each.precision)}"
        images = f"{each.labeled} audited" if each.labeled else "no audited image"
        left = estimate.unfound.get(each.uid)
        unfound = (
            f"; about {left.value:,.0f} unlabeled ({left.low:,.0f} to {left.high:,.0f})"
            if left
            else ""
        )
        print(f"    {show(names[each.uid])}: {recall}{precision} ({images}{unfound})")


def _share(name: str, found: "Interval") -> str:
    return f"{name} {_interval(found)}"


def _interval(found: "Interval") -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def _verdict(found: "Status", until: str) -> str:
    """Return one sentence about whether a goal is reached."""
    if found.estimate is None or found.outlook is None:
        return (
            f"the goal {until} cannot be judged, because no image was audited; ask some with "
            "'dgaal query --audit 30'"
        )
    state = found.outlook.goals[0]
    goal, bounds = state.goal, state.bounds
    what = "accuracy" if goal.kind == "accuracy" else f"{goal.kind} of {goal.class_name}"
    known = f"({found.estimate.audited} audited images, at {found.estimate.level:.0%})"
    if state.is_reached:
        return f"reached: the {what} is at least {bounds.low:.1%} {known}"
    if bounds.high < goal.target:
        return (
            f"this model cannot reach {goal.target:.1%}: its {what} is at most {bounds.high:.1%} "
            f"{known}; label and train more"
        )
    return (
        f"not known to reach {goal.target:.1%}: the {what} is between {bounds.low:.1%} and "
        f"{bounds.high:.1%} {known}; audit or label more images"
    )


def _outlook_document(found: "Status") -> dict[str, Any] | None:
    ahead = found.outlook
    if ahead is None:
        return None
    return {
        "verdict": ahead.verdict,
        "goals": [
            {
                "kind": state.goal.kind,
                "class": state.goal.class_name or None,
                "target": state.goal.target,
                "is_reached": state.is_reached,
                "at_least": state.bounds.low,
                "at_most": state.bounds.high,
                "labels": state.ahead
                and {
                    "median": _finite(state.ahead.median),
                    "low": _finite(state.ahead.low),
                    "high": _finite(state.ahead.high),
                },
            }
            for state in ahead.goals
        ],
        "after_100_labels": ahead.accuracy,
        "gain_of_100_labels": ahead.gain,
        "seconds_per_label": ahead.answer_s,
        "stopping_criteria": ahead.criteria,
    }


def _finite(labels: float) -> float | None:
    """Return a number of labels; None if no number is enough."""
    return labels if math.isfinite(labels) else None


def _estimate_document(found: "Status") -> dict[str, Any] | None:
    estimate = found.estimate
    if estimate is None:
        return None
    value, names = estimate.accuracy, {record.uid: record.name for record in found.classes}
    return {
        "accuracy": value and value.value,
        "low": value and value.low,
        "high": value and value.high,
        "level": estimate.level,
        "audited": estimate.audited,
        "asked": estimate.asked,
        "at_least": estimate.at_least,
        "at_most": estimate.at_most,
        "added": estimate.added,
        "balanced_accuracy": estimate.balanced,
        "classes": [
            {
                "name": names[each.uid],
                "audited": each.labeled,
                "predicted": each.predicted,
                "recall": each.recall,
                "precision": each.precision,
                "unlabeled": estimate.unfound.get(each.uid),
            }
            for each in estimate.classes
        ],
        "groups": estimate.groups,
        "new_groups": estimate.new_groups
        and {"low": estimate.new_groups.low, "high": estimate.new_groups.high},
    }


def _accepted_document(found: "Status") -> dict[str, Any] | None:
    accepted = found.accepted
    if accepted is None:
        return None
    names = ("round", "by", "at", "max_error", "error_at_most", "level")
    return {"count": found.accepted_standing, **{name: getattr(accepted, name) for name in names}}


def _state_line(found: "Status") -> str:
    state = found.state
    if state.open_query is not None:
        query = state.open_query
        return f"round {state.number} is being labeled: {query.size - query.left} of {query.size}"
    if found.hindrance:
        return f"training of round {state.number} was interrupted; {found.hindrance}"
    if state.is_midway:
        return f"training of round {state.number} was interrupted and can be resumed"
    if state.step == "query":
        return f"round {state.number} is trained; its query is not chosen yet"
    if state.damage and state.trained is None:
        return f"round {state.number} must be trained again; that changes no label"
    needs_none = found.next_step in ("query", "export")
    ready = (
        "needs no training; its query is not chosen yet" if needs_none else "is ready for training"
    )
    return f"round {state.number} {ready}"


def _document(found: "Status") -> dict[str, Any]:
    counts, query = found.counts, found.state.open_query
    return {
        "name": found.name,
        "method": found.method,
        "images": counts.items,
        "labeled": counts.labeled,
        "unlabeled": counts.unlabeled,
        "cannot_tell": counts.cannot_tell,
        "synthetic": counts.synthetic,
        "synthetic_labeled": counts.synthetic_labeled,
        "annotations": counts.annotations,
        "budget": found.budget,
        "classes": [
            {"name": record.name, "labels": counts.by_class.get(record.uid, 0)}
            for record in found.classes
        ],
        "round": found.state.number,
        "step": found.state.step,
        "is_midway": found.state.is_midway,
        "hindrance": found.hindrance,
        "pool_problem": found.pool_problem,
        "pool_growth": found.growth,
        "damage": found.state.damage,
        "query": None if query is None else {"size": query.size, "left": query.left},
        "rounds": list(found.curve),
        "unreadable": [{"id": show(i), "reason": show(r)} for i, r in found.unreadable],
        "left_out": [{"id": show(i), "state": state} for i, state in found.left_out],
        "estimate": _estimate_document(found),
        "outlook": _outlook_document(found),
        "accepted_predictions": _accepted_document(found),
        "model": None if found.model is None else msgspec.to_builtins(found.model),
        "groups": found.groups,
        "grouped": found.grouped,
        "artifacts": list(found.artifacts),
        "not_backed_up": found.not_backed_up,
        "next": found.next_step,
    }
