"""What the labels must be: the events in true order, the classes, and what follows from both.

Nothing here uses dgaal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

UNDOABLE = ("label", "cannot_tell", "skip", "flag", "unflag", "adjudicate")
FINAL = ("label", "cannot_tell", "adjudicate")


Classes = tuple[tuple[str, str], ...]
"""Uid and name of each class in use, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One answer, undo or import; ``at`` and ``op`` are unknown until dgaal has chosen them."""

    kind: str
    says: str
    image: str
    person: str
    uid: str | None = None
    """Class that it names."""
    target: int | None = None
    """Number of the event that an undo or redo refers to."""
    counted: bool | None = True
    """None: not known, as another person may have been first."""
    at: int | None = None
    """When it was given, in microseconds since 1970."""
    stamp: int | None = None
    """When it, or the undo or redo after it, was made; orders the actions of a person."""
    op: str | None = None
    round: int | None = None

    def is_met_by(self, found: "Event") -> bool:
        """Return whether a stored event is this one."""
        for name in ("kind", "says", "image", "person", "uid", "target"):
            if getattr(self, name) != getattr(found, name):
                return False
        for name in ("counted", "at", "stamp", "op"):
            if getattr(self, name) not in (None, getattr(found, name)):
                return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A store: its events in order and its classes."""

    events: tuple[Event, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()
    """Uid and name of each class in use, in their order; the uid is "" until dgaal chose it."""
    retired: frozenset[tuple[str, str]] = frozenset()
    round: int | None = None
    """Round of the open query; of the store, not of the model."""
    floor: int = 0
    """Number of events when the last query was closed; likewise."""

    def is_met_by(self, found: "State") -> bool:
        """Return whether a stored state is this one."""
        if len(self.events) != len(found.events) or len(self.classes) != len(found.classes):
            return False
        uids = zip(self.classes, found.classes, strict=True)
        known = {uid for uid, _ in (*self.classes, *self.retired)}
        is_same = all(
            name == other and (uid == their or (not uid and their not in known))
            for (uid, name), (their, other) in uids
        )
        if not is_same or self.retired != found.retired:
            return False
        pairs = zip(self.events, found.events, strict=True)
        return all(event.is_met_by(other) for event, other in pairs)

    def plus(self, *events: Event) -> "State":
        """Return the state after more events."""
        return replace(self, events=(*self.events, *events))

    def uid(self, name: str) -> str | None:
        """Return the class in use with this name."""
        return next((uid for uid, known in self.classes if known == name), None)

    def name(self, uid: str | None) -> str | None:
        """Return the name of a class, in use or retired."""
        return next((name for known, name in (*self.classes, *self.retired) if known == uid), None)

    # Merging

    def is_of_flag(self, event: Event) -> bool:
        """Return whether an event is about a flag, not an answer."""
        about = event if event.target is None else self.events[event.target - 1]
        return about.says in ("flag", "unflag")

    def newest_actions(self) -> dict[tuple[str, str, bool], Event]:
        """Return the newest counted event of each place: image, person, whether a flag."""
        return {(e.image, e.person, self.is_of_flag(e)): e for e in self.events if e.counted}

    def lines(self) -> list[Event]:
        """Return the current answer of each place as an import of it, in the order of a file."""
        newest = self.newest_actions()
        standing = {(*pair, False): found for pair, found in self.standing().items()}
        standing |= {(*pair, True): found for pair, found in self.flags().items()}
        given: list[tuple[bool, int, Event]] = []
        for place, action in newest.items():
            number, event = standing.get(place, (self.events.index(action) + 1, action))
            says = event.says if place in standing else "unflag" if place[2] else "undo"
            line = replace(
                event,
                kind="import",
                says=says,
                target=None,
                counted=True,
                uid=event.uid if place in standing else None,
                stamp=action.stamp,
                op=action.op,
            )
            given.append((says in ("skip", "undo", "unflag"), number, line))
        return [line for _, _, line in sorted(given, key=lambda each: each[:2])]

    def merged(self, lines: list[Event], names: dict[str, str]) -> "State":
        """Return the state after an import of ``lines`` of a copy, with new classes added.

        Args:
            lines: Some of the copy's ``lines``.
            names: Name of each class in the copy.
        """
        after, ops = self, {event.op for event in self.events}
        added: dict[str, str] = {}
        for line in lines:
            uid = line.uid
            if uid is not None and uid not in dict(after.classes):
                name = names[uid]
                is_free = after.name(uid) is None
                if after.uid(name) is None:
                    added[uid] = uid if is_free else ""
                    after = replace(after, classes=(*after.classes, (added[uid], name)))
                uid = after.uid(name)
            if line.op in ops:
                continue
            place = (line.image, line.person, line.says in ("flag", "unflag"))
            newest = after.newest_actions().get(place)
            is_newer = newest is None or (line.stamp, line.op) > (newest.stamp, newest.op)
            if is_newer or line.says not in ("skip", "undo", "unflag"):
                after = after.plus(replace(line, uid=uid, counted=is_newer))
        return after

    # What follows from the events

    def live(self) -> Iterator[tuple[int, Event]]:
        """Yield number and event of each counted answer and flag that is not undone."""
        undone: set[int] = set()
        for event in self.events:
            if event.counted and event.target is not None:
                (undone.add if event.says == "undo" else undone.discard)(event.target)
        for number, event in enumerate(self.events, start=1):
            if event.counted and event.target is None and number not in undone:
                yield number, event

    def standing(self) -> dict[tuple[str, str], tuple[int, Event]]:
        """Return the current answer of each person to each image, with its number."""
        found: dict[tuple[str, str], tuple[int, Event]] = {}
        for number, event in self.live():
            if event.says == "undo":  # made in a copy of the workspace
                found.pop((event.image, event.person), None)
            elif event.says not in ("flag", "unflag"):
                found[event.image, event.person] = number, event
        return found

    def flags(self) -> dict[tuple[str, str], tuple[int, Event]]:
        """Return the current flag of each person on each image, with its number."""
        found: dict[tuple[str, str], tuple[int, Event]] = {}
        for number, event in self.live():
            if event.says == "flag":
                found[event.image, event.person] = number, event
            elif event.says == "unflag":
                found.pop((event.image, event.person), None)
        return found

    def verdicts(self) -> dict[str, Event]:
        """Return the effective answer of each image: adjudicated, else of most, else earliest."""
        given: dict[str, list[Event]] = {}
        for _, event in self.standing().values():
            if event.says in FINAL:
                given.setdefault(event.image, []).append(event)
        found: dict[str, Event] = {}
        for image, answers in given.items():
            answers.sort(key=lambda event: (event.at, event.person))
            decided = [event for event in answers if event.says == "adjudicate"]
            votes = [event.uid for event in answers]
            best = max(votes, key=votes.count)
            found[image] = decided[-1] if decided else answers[votes.index(best)]
        return found

    def labels(self) -> dict[str, str]:
        """Return the class name of each labeled image."""
        named = {image: self.name(event.uid) for image, event in self.verdicts().items()}
        return {image: name for image, name in named.items() if name is not None}

    def reversible(self, person: str, says: str) -> int | None:
        """Return the number of the event that a person's undo or redo would act on."""
        done: list[int] = []
        undone: list[int] = []
        for number, event in enumerate(self.events, start=1):
            if event.person != person or event.round != self.round or number <= self.floor:
                continue
            if event.kind == "undo" and done:
                undone.append(done.pop())
            elif event.kind == "redo" and undone:
                done.append(undone.pop())
            elif event.kind in UNDOABLE:
                done.append(number)
                undone.clear()
        stack = done if says == "undo" else undone
        return stack[-1] if stack else None

    def reversal(self, person: str, says: str) -> Event | None:
        """Return the event of a person's undo or redo; None if nothing is left."""
        number = self.reversible(person, says)
        if number is None:
            return None
        image = self.events[number - 1].image
        counted = True if says == "undo" else None
        return Event(
            kind=says,
            says=says,
            image=image,
            person=person,
            target=number,
            counted=counted,
            round=self.round,
        )
