"""From the history of one image to its current state: a pure fold over events, whatever keeps them.

The same function serves a key press (one item), a rebuild (all items) and a training run that reads
the past (all items, events up to its watermark).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from dgaal_cli.ids import ItemId
from dgaal_cli.store.records import EventRecord


@dataclass(frozen=True, slots=True)
class Fact:
    """What the fold needs of one event."""

    event_id: int
    says: str
    item_id: ItemId
    annotator: str
    label: Hashable
    """What it states: a ``Label`` or the backend's key of it, equal for equal labels; or None."""
    refers_to: int | None
    counted: bool
    round: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """Present state of one item."""

    answers: dict[str, Fact] = field(default_factory=dict[str, Fact])
    """Last live counted answer of each annotator."""
    flags: dict[str, Fact] = field(default_factory=dict[str, Fact])
    """Live flag of each annotator."""
    verdict: Fact | None = None
    """The answer that stands: adjudicated, else majority, else earliest; inherited comes last."""
    done: int = 0
    """Annotators who finished it; at least ``need`` once it is adjudicated."""


def fold(facts: Iterable[Fact], *, need: int) -> Folded:
    """Fold the events of one item, oldest first.

    Args:
        facts: All events of one item up to some watermark.
        need: Annotators wanted.
    """
    answers: dict[str, Fact] = {}
    flags: dict[str, Fact] = {}
    for fact in _live(facts):
        if fact.says == "flag":
            flags[fact.annotator] = fact
        elif fact.says == "unflag":
            flags.pop(fact.annotator, None)
        else:
            answers[fact.annotator] = fact
    done = sum(fact.says in ("label", "cannot_tell", "adjudicate") for fact in answers.values())
    if any(fact.says == "adjudicate" for fact in answers.values()):
        done = max(done, need)
    return Folded(answers=answers, flags=flags, verdict=_judge(answers), done=done)


def standing_events(events: Iterable[EventRecord]) -> list[EventRecord]:
    """Return one annotator's answers that are not undone, the last of each item, oldest first."""
    standing: dict[int, EventRecord] = {}
    undone: dict[int, EventRecord] = {}
    for event in events:
        if event.kind in ("label", "cannot_tell", "skip"):
            standing[event.event_id] = event
        elif event.kind == "undo" and event.refers_to in standing:
            undone[event.refers_to] = standing.pop(event.refers_to)
        elif event.kind == "redo" and event.refers_to in undone:
            standing[event.refers_to] = undone.pop(event.refers_to)
    newest = {event.item_id: event for event in standing.values()}
    return sorted(newest.values(), key=attrgetter("event_id"))


def _live(facts: Iterable[Fact]) -> list[Fact]:
    """Drop what is undone, what never counted, and the undos and redos themselves."""
    undone: set[int] = set()
    told: list[Fact] = []
    for fact in facts:
        if not fact.counted:  # a redo too: others had finished the item, it restores nothing
            continue
        if fact.refers_to is None:
            told.append(fact)
        elif fact.says == "undo":
            undone.add(fact.refers_to)
        else:
            undone.discard(fact.refers_to)
    return [fact for fact in told if fact.event_id not in undone]


def _judge(answers: dict[str, Fact]) -> Fact | None:
    adjudicated = [fact for fact in answers.values() if fact.says == "adjudicate"]
    if adjudicated:
        return max(adjudicated, key=attrgetter("event_id"))
    votes: defaultdict[Hashable, list[Fact]] = defaultdict(list)
    for fact in sorted(answers.values(), key=attrgetter("event_id")):
        if fact.says in ("label", "cannot_tell"):
            votes[fact.label].append(fact)
    if votes:
        return max(votes.values(), key=lambda group: (len(group), -group[0].event_id))[0]
    inherited = [fact for fact in answers.values() if fact.says == "inherit"]
    return max(inherited, key=attrgetter("event_id")) if inherited else None
