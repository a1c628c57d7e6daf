"""Statistics of the open round, updated between reads of the store."""

from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from operator import attrgetter

from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.standing_answers import StandingAnswer, standing_answers
from dgaal_cli.labeling.view import Press, QueryImage
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Counts, Query, Receipt

IDLE_S = 30.0
"""Max seconds of one answer in the rate; a longer time is a pause."""


class RoundStats:
    """Answers of one annotator in the open round, counts of the store, and the answer rate."""

    counts: Counts
    """Counts of the whole store; after a change, only images with new events are counted again."""

    def __init__(self, store: Store, annotator: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._annotator = annotator
        self._clock = clock
        self._paces: deque[float] = deque(maxlen=20)
        self._last_answer_at: float | None = None
        self._query: Query | None = None
        self.history: list[StandingAnswer] = []
        """Oldest first, one per image."""

    def open(self, query: Query | None) -> None:
        """Read counts and answers from the store."""
        self._query = query
        self.counts = self._store.counts()
        self.reread()

    def recount(self) -> None:
        """Update the counts."""
        self.counts = self._store.counts(known=self.counts)

    def reread(self, items: Collection[ItemId] = ()) -> None:
        """Read this annotator's current answers of the open round, or those to some items."""
        history = [given for given in self.history if given.item_id not in items] if items else []
        if self._query is not None:
            read = partial(self._store.events, annotator=self._annotator, round=self._query.round)
            for events in [read(item_id=item) for item in items] or [read()]:
                history += standing_answers(events)
        self.history = sorted(history, key=attrgetter("event_id"))

    def add(self, press: Press, image: QueryImage | None, receipt: Receipt) -> None:
        """Record a stored answer; a retry changes nothing."""
        is_new = all(given.event_id != receipt.event_id for given in self.history)
        if image and image.item_id == press.item_id and is_new:
            self.history = [given for given in self.history if given.item_id != press.item_id]
            self.history.append(_given(press, image, receipt))

    def measure_pace(self, elapsed_ms: int | None, *, answers: int = 1) -> None:
        """Record the time since the last answer; divided among a page."""
        now = self._clock()
        if self._last_answer_at is not None:
            each = min(now - self._last_answer_at, IDLE_S) / answers
            self._paces.extend([each] * answers)
        elif elapsed_ms is not None:
            self._paces.append(min(elapsed_ms / 1000, IDLE_S))
        self._last_answer_at = now

    @property
    def answer_s(self) -> float | None:
        """Mean seconds per answer; None before the second answer."""
        return sum(self._paces) / len(self._paces) if len(self._paces) > 1 else None

    @property
    def agreed(self) -> tuple[int, int]:
        """Number of labels equal to the model's guess, and of labels with a guess."""
        compared = [g for g in self.history if g.kind == "label" and g.predicted is not None]
        return sum(g.names(g.predicted) for g in compared), len(compared)


def _given(press: Press, image: QueryImage, receipt: Receipt) -> StandingAnswer:
    return StandingAnswer(
        event_id=receipt.event_id,
        item_id=press.item_id,
        sample_id=image.sample_id,
        is_synthetic=image.is_synthetic,
        kind=press.kind,
        label=press.label,
        elapsed_ms=press.elapsed_ms,
        predicted=image.predicted,
        ui=press.ui,
        is_blind=press.is_blind,
    )
