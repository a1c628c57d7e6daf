"""Each annotator's current answers, folded from the event history."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.fold import standing_events
from dgaal_cli.store.records import EventRecord, Label, LabelRecord, ShownAs, Undone

BLIND_NOTE = "hints=blind"
"""Note of an answer to an image that was shown without a hint although hints were on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingAnswer:
    """One current answer, as the history and the review show it."""

    event_id: int
    item_id: ItemId
    sample_id: SampleId
    is_synthetic: bool
    kind: str
    label: Label | None
    elapsed_ms: int | None = None
    predicted: ClassUid | None = None
    """The model's prediction at that time, shown or not."""
    predicted_now: ClassUid | None = None
    """Prediction of the newest exported model, if known."""
    round: int | None = None
    ui: ShownAs | None = None
    is_blind: bool = False
    is_flagged: bool = False
    at: str = ""
    """Time of the answer, ISO 8601, UTC; empty in the history of a session."""
    given_by: str = ""
    """Another annotator, whose answer is the label; empty for one's own answers."""

    @property
    def is_hinted(self) -> bool:
        """Whether the prediction was shown."""
        return self.ui not in (None, "hidden")

    @property
    def newest_prediction(self) -> ClassUid | None:
        """The newest prediction."""
        return self.predicted_now or self.predicted

    @property
    def disagrees(self) -> bool:
        """Whether the newest prediction is a class that the answer does not name."""
        return self.newest_prediction is not None and not self.names(self.newest_prediction)

    def names(self, uid: ClassUid | None) -> bool:
        """Whether the answer's label names a class."""
        return self.label is not None and uid in self.label.classes


def standing_answers(events: Iterable[EventRecord]) -> list[StandingAnswer]:
    """Fold one annotator's events into the current answers, one per item, oldest first."""
    return [_answer_of(event) for event in standing_events(events)]


def labels_of_others(
    labels: Iterable[LabelRecord], own: Collection[ItemId]
) -> list[StandingAnswer]:
    """Convert the labels that other annotators or imports gave to images without an own answer."""
    return [
        StandingAnswer(
            event_id=record.event_id,
            item_id=record.item_id,
            sample_id=record.sample_id,
            is_synthetic=record.is_synthetic,
            kind="label",
            label=record.label,
            round=record.round,
            at=record.at,
            given_by=record.annotator,
        )
        for record in labels
        if record.item_id not in own and record.provenance != "inherited"
    ]


def answer_of_undone(undone: Undone) -> StandingAnswer:
    """Convert an undone answer."""
    return StandingAnswer(
        event_id=undone.event_id,
        item_id=undone.item.item_id,
        sample_id=undone.item.sample_id,
        is_synthetic=undone.item.is_synthetic,
        kind=undone.kind,
        label=undone.label,
    )


def _answer_of(event: EventRecord) -> StandingAnswer:
    return StandingAnswer(
        event_id=event.event_id,
        item_id=event.item_id,
        sample_id=event.sample_id,
        is_synthetic=event.sample_id.startswith("synthetic/"),
        kind="label" if event.label else event.says,
        label=event.label,
        elapsed_ms=event.elapsed_ms,
        predicted=event.predicted,
        round=event.round,
        ui=event.ui,
        is_blind=event.note == BLIND_NOTE,
        at=event.at,
    )
