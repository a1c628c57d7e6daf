"""What the label terminal is told: values, and how they follow from the store's records."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.records import (
    ClassRecord,
    Counts,
    EventRecord,
    QueryProgress,
    ShownAs,
    Undone,
)
from dgaal_cli.workspace import Workspace

RECOUNT_EVERY = 25
"""Answers after which the counts of the whole store are read anew."""
BLIND_NOTE = "hints=blind"
"""Stands in the note of an answer to an image that was asked blind though hints were on."""

State = Literal["labeling", "answered", "waiting", "empty"]
"""``answered``: the query is done; ``waiting``: the rest is with others; ``empty``: no query."""
NextStep = Literal["train", "query"]
AnswerName = Literal["label", "cannot_tell", "skip"]
LearnerState = Literal["none", "off", "on"]
"""``none``: no exported sampler of this round, so the query's own guesses are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One answer as the operator gave it; kept until it is saved, so that a retry is the same."""

    op_id: str
    kind: AnswerName
    item_id: ItemId
    class_uid: ClassUid | None = None
    elapsed_ms: int | None = None
    ui: ShownAs = "hidden"
    is_blind: bool = False
    """Hints were on and this image was asked without, to measure what they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The image a person looks at, and what is known about it."""

    item_id: ItemId
    sample_id: SampleId
    is_synthetic: bool
    rank: int = 0
    reason: str = ""
    score: float | None = None
    percentile: float | None = None
    nearest: str = ""
    """Sample id of the nearest labeled image; empty if unknown."""
    nearest_class: str = ""
    """What that one was labeled: a guess, and to be seen only where guesses are."""
    predicted: ClassUid | None = None
    probabilities: tuple[tuple[ClassUid, float], ...] = ()
    is_flagged: bool = False
    is_blind: bool = False
    """Asked without hints even when hints are on."""
    is_learned: bool = False
    """The guess is the terminal's own learner's, not the one that came with the query."""

    @property
    def confidence(self) -> float:
        """Probability of the guess; 0 without one."""
        return dict(self.probabilities).get(self.predicted, 0.0) if self.predicted else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One answer of this round, for the history strip."""

    event_id: int
    item_id: ItemId
    sample_id: SampleId
    is_synthetic: bool
    kind: str
    class_uid: ClassUid | None
    elapsed_ms: int | None
    predicted: ClassUid | None
    """The model's guess at that time, whether or not it was shown."""
    today: ClassUid | None = None
    """What the newest exported model says, where it is known."""
    round: int | None = None
    ui: ShownAs | None = None
    is_blind: bool = False
    is_flagged: bool = False

    @property
    def is_hinted(self) -> bool:
        """Whether the guess was in sight."""
        return self.ui not in (None, "hidden")

    @property
    def model_says(self) -> ClassUid | None:
        """The newest guess there is."""
        return self.today or self.predicted

    @property
    def disagrees(self) -> bool:
        """Whether the person said something else than the model does."""
        return self.model_says is not None and self.model_says != self.class_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Accuracy after one round."""

    round: int
    labels: int
    accuracy: float
    """0..1."""
    measured: int | None = None
    """Images it was measured on; a few prove little and the screen says so."""
    health: tuple[tuple[str, float], ...] = ()
    """Gauges of the sampler: name, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelView:
    """Everything the terminal draws, as of the last COMMIT."""

    name: str
    annotator: str
    state: State
    round: int | None
    strategy: str
    classes: tuple[ClassRecord, ...]
    subject: Subject | None
    before: Given | None
    """The answer that was just taken back from this very subject."""
    upcoming: tuple[Subject, ...]
    """What follows the subject, as far as it can be foreseen."""
    progress: QueryProgress
    by_class: dict[ClassUid, int]
    labeled: int
    spent: int
    """Answers that count against the budget: labels and can't tell, of anybody."""
    next_step: NextStep
    """What comes after this query."""
    budget: int
    """0: no limit."""
    items: int
    history: tuple[Given, ...]
    """Newest first."""
    agreed: tuple[int, int]
    """Of the labels given where the model had a guess: how many equal it, how many there are."""
    answer_s: float | None
    """Mean seconds an answer, over the last 20; None before the second."""
    curve: tuple[CurvePoint, ...]
    learner: LearnerState = "none"
    ranked_ahead: int = 0
    """Images ranked already to be asked while the next round trains."""
    extended: int = 0
    """Images that this session added to the query to keep labeling while the next round trains."""
    serial: int = 0
    """Counts the views of a session: a smaller number is older news."""
    note: str = ""
    """What the last call did, in words, where it is not plain from the rest."""
    is_refused: bool = False
    """The last answer was not stored, for the reason in ``note``; it is not to be sent again."""

    def class_name(self, uid: ClassUid | None) -> str:
        """Name of a class, or ``?`` if it is gone."""
        return next((c.name for c in self.classes if c.uid == uid), "?")


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of the whole store, kept up by hand: counting 50,000 images takes 40 ms a key."""

    by_class: dict[ClassUid, int] = field(default_factory=dict[ClassUid, int])
    labeled: int = 0
    spent: int = 0
    items: int = 0
    age: int = 0

    @classmethod
    def of(cls, counts: Counts) -> "Tally":
        """Start from what the store says."""
        return cls(
            by_class=dict(counts.by_class),
            labeled=counts.labeled,
            spent=counts.annotations,
            items=counts.items,
        )

    @property
    def is_stale(self) -> bool:
        """Whether others may have answered enough since to ask the store again."""
        return self.age >= RECOUNT_EVERY

    def add(self, press: Press, *, is_pool: bool) -> None:
        """Count one new answer."""
        self.age += 1
        if press.kind == "skip":
            return
        self.spent += 1
        if press.class_uid is not None and is_pool:
            self.labeled += 1
            self.by_class[press.class_uid] = self.by_class.get(press.class_uid, 0) + 1


def learning_curve(workspace: Workspace) -> tuple[CurvePoint, ...]:
    """Read accuracy per round from the rounds' metrics; rounds without one are left out."""
    if not workspace.rounds_path.is_dir():
        return ()
    points = (_curve_point(path) for path in sorted(workspace.rounds_path.glob("*/metrics.json")))
    return tuple(point for point in points if point)


def _curve_point(path: Path) -> CurvePoint | None:
    try:
        read = json.loads(path.read_bytes())
        metrics = cast("dict[str, Any]", read)
        labels, accuracy = int(metrics["labels"]), float(metrics["accuracy"])
        number = int(metrics.get("round", path.parent.name))
        count = metrics.get("measured_count")
        measured = int(count) if count is not None else None
        gauges = cast("dict[str, float | None]", metrics.get("health") or {})
        health = tuple((str(k), float(v)) for k, v in gauges.items() if v is not None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # a curve is decoration: a damaged point must not keep anyone from labeling
    if not 0 <= accuracy <= 1:
        return None
    return CurvePoint(
        round=number, labels=labels, accuracy=accuracy, measured=measured, health=health
    )


def given_of_event(event: EventRecord) -> Given:
    """One answer of the history."""
    return Given(
        event_id=event.event_id,
        item_id=event.item_id,
        sample_id=event.sample_id,
        is_synthetic=event.sample_id.startswith("synthetic/"),
        kind=event.kind,
        class_uid=event.class_uid,
        elapsed_ms=event.elapsed_ms,
        predicted=event.predicted,
        round=event.round,
        ui=event.ui,
        is_blind=event.note == BLIND_NOTE,
    )


def standing_answers(events: Iterable[EventRecord]) -> list[Given]:
    """Fold one annotator's events into the answers that stand, one an item, oldest first."""
    given: dict[int, Given] = {}
    taken_back: dict[int, Given] = {}
    for event in events:
        if event.kind in ("label", "cannot_tell", "skip"):
            given[event.event_id] = given_of_event(event)
        elif event.kind == "undo" and event.refers_to in given:
            taken_back[event.refers_to] = given.pop(event.refers_to)
        elif event.kind == "redo" and event.refers_to in taken_back:
            given[event.refers_to] = taken_back.pop(event.refers_to)
    newest = {answer.item_id: answer for answer in given.values()}
    return sorted(newest.values(), key=lambda answer: answer.event_id)


def given_of_undone(undone: Undone) -> Given:
    """What undo took back."""
    return Given(
        event_id=undone.event_id,
        item_id=undone.item.item_id,
        sample_id=undone.item.sample_id,
        is_synthetic=undone.item.is_synthetic,
        kind=undone.kind,
        class_uid=undone.class_uid,
        elapsed_ms=None,
        predicted=None,
    )
