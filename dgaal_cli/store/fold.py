"""Compute the current state of an item from its events.

The same function is used for one answer (one item), for a rebuild (all items) and for a training
run (all items, events up to its watermark).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from dgaal_cli.ids import ItemId
from dgaal_cli.store.records import EventRecord

SOURCE = "source"
"""Annotator name of the labels that ``init`` reads from the pool; every other answer beats them."""


@dataclass(frozen=True, slots=True)
class Fact:
    """The fields of one event that the fold uses."""

    event_id: int
    says: str
    item_id: ItemId
    annotator: str
    label: Hashable
    """A ``Label`` or the backend's key of one, equal for equal labels; or None."""
    refers_to: int | None
    counted: bool
    round: int | None
    given_us: int
    """When the answer was given, the same in every copy of the workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """Current state of one item."""

    answers: dict[str, Fact] = field(default_factory=dict[str, Fact])
    """Last counted answer of each annotator that is not undone."""
    flags: dict[str, Fact] = field(default_factory=dict[str, Fact])
    """Current flag of each annotator."""
    verdict: Fact | None = None
    """Effective answer: newest adjudicated, else majority, else earliest, else of the source, else
    inherited."""
    done: int = 0
    """Number of annotators who answered; at least ``need`` if adjudicated."""


def fold(facts: Iterable[Fact], *, need: int) -> Folded:
    """Fold the events of one item, oldest first.

    Args:
        facts: All events of one item up to a watermark.
        need: Number of annotators to ask.
    """
    answers: dict[str, Fact] = {}
    flags: dict[str, Fact] = {}
    for fact in _live(facts):
        if fact.says == "flag":
            flags[fact.annotator] = fact
        elif fact.says == "unflag":
            flags.pop(fact.annotator, None)
        elif fact.says == "undo":  # made in a copy of the workspace, and imported
            answers.pop(fact.annotator, None)
        else:
            answers[fact.annotator] = fact
    done = sum(fact.says in ("label", "cannot_tell", "adjudicate") for fact in answers.values())
    if any(fact.says == "adjudicate" for fact in answers.values()):
        done = max(done, need)
    return Folded(answers=answers, flags=flags, verdict=_judge(answers), done=done)


def standing_events(events: Iterable[EventRecord]) -> list[EventRecord]:
    """Return the newest current answer of a person to each item, oldest first; late ones too."""
    by_id = {event.event_id: event for event in events}
    facts: defaultdict[ItemId, list[Fact]] = defaultdict(list)
    for event in by_id.values():
        if event.says != "inherit":
            facts[event.item_id].append(fact_of(event))
    answers = [fold(each, need=1).answers.values() for each in facts.values()]
    numbers = [max(fact.event_id for fact in each) for each in answers if each]
    return [by_id[number] for number in sorted(numbers)]


def fact_of(event: EventRecord) -> Fact:
    """Return what the fold uses of an event of the history, without the time of the answer."""
    return Fact(
        event_id=event.event_id,
        says=event.says,
        item_id=event.item_id,
        annotator=event.annotator,
        label=event.label,
        refers_to=event.refers_to,
        counted=event.is_counted or event.kind != "import",
        round=event.round,
        given_us=0,
    )


def _live(facts: Iterable[Fact]) -> list[Fact]:
    """Drop events that are undone or not counted, and the undo and redo events."""
    undone: set[int] = set()
    kept: list[Fact] = []
    for fact in facts:
        if not fact.counted:  # also a redo of an item that other annotators had finished
            continue
        if fact.refers_to is None:
            kept.append(fact)
        elif fact.says == "undo":
            undone.add(fact.refers_to)
        else:
            undone.discard(fact.refers_to)
    return [fact for fact in kept if fact.event_id not in undone]


def _judge(answers: dict[str, Fact]) -> Fact | None:
    adjudicated = [fact for fact in answers.values() if fact.says == "adjudicate"]
    if adjudicated:
        return max(adjudicated, key=_by_time)
    given = [fact for fact in answers.values() if fact.says in ("label", "cannot_tell")]
    people = [fact for fact in given if fact.annotator != SOURCE]
    votes: defaultdict[Hashable, list[Fact]] = defaultdict(list)
    for fact in sorted(people or given, key=_by_time):
        votes[fact.label].append(fact)
    if votes:
        return max(votes.values(), key=len)[0]  # of several, the one with the earliest answer
    inherited = [fact for fact in answers.values() if fact.says == "inherit"]
    return max(inherited, key=_by_time) if inherited else None


def _by_time(fact: Fact) -> tuple[int, str]:
    """Order the answers of different annotators alike in every copy of the workspace."""
    return fact.given_us, fact.annotator
