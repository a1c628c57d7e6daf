"""Each annotator's current answers, folded from the event history."""

from collections.abc import Iterable
from dataclasses import dataclass

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.fold import standing_events
from dgaal_cli.store.records import EventRecord, ShownAs, Undone
from dgaal_cli.tasks.classification.label import class_or_none

BLIND_NOTE = "hints=blind"
"""Stands in the note of an answer to an image that was asked blind though hints were on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingAnswer:
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


def given_of_event(event: EventRecord) -> StandingAnswer:
    """One answer of the history."""
    return StandingAnswer(
        event_id=event.event_id,
        item_id=event.item_id,
        sample_id=event.sample_id,
        is_synthetic=event.sample_id.startswith("synthetic/"),
        kind=event.kind,
        class_uid=class_or_none(event.label),
        elapsed_ms=event.elapsed_ms,
        predicted=event.predicted,
        round=event.round,
        ui=event.ui,
        is_blind=event.note == BLIND_NOTE,
    )


def standing_answers(events: Iterable[EventRecord]) -> list[StandingAnswer]:
    """Fold one annotator's events into the answers that stand, one an item, oldest first."""
    return [given_of_event(event) for event in standing_events(events)]


def given_of_undone(undone: Undone) -> StandingAnswer:
    """What undo took back."""
    return StandingAnswer(
        event_id=undone.event_id,
        item_id=undone.item.item_id,
        sample_id=undone.item.sample_id,
        is_synthetic=undone.item.is_synthetic,
        kind=undone.kind,
        class_uid=class_or_none(undone.label),
        elapsed_ms=None,
        predicted=None,
    )
