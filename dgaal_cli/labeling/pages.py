"""Pages of the grid: images to confirm, storing a page, undoing a page."""

from collections.abc import Sequence

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.labeling.annotators import OperationIds
from dgaal_cli.labeling.bursts import burst_of
from dgaal_cli.labeling.open_round import OpenRound
from dgaal_cli.labeling.view import Press, QueryImage, join_notices

GRID_NOTE = "screen=grid"
"""Note of each answer given on a page of the grid."""
BURST_NOTE = "screen=burst"
"""Note of each answer given to the frames of a burst."""


class Pages:
    """Stores pages of answers."""

    def __init__(self, open_round: OpenRound, ids: OperationIds) -> None:
        self._round = open_round
        self._store = open_round.store
        self._ids = ids
        self._offered: dict[ItemId, QueryImage] = {}
        self._burst_events: set[int] = set()
        """Events of answers to bursts, each of which is undone as a whole."""

    def offer(self) -> tuple[QueryImage, ...]:
        """Return the images to confirm or to label: the rest of the query.

        Sorted by guessed class, then the surest first; images without a guess are last. Images
        that are asked blind, synthetic ones and those that were skipped want a look of their own.
        """
        open_round = self._round
        place = {record.uid: record.position for record in self._store.classes()}
        skipped = {a.item_id for a in open_round.stats.history if a.kind == "skip"}
        left = open_round.queue.rest()
        if open_round.files.drop_gone(left):
            left = open_round.queue.rest()
        rest = [
            image
            for image in left
            if not (image.is_blind or image.is_synthetic or image.item_id in skipped)
        ]
        rest.sort(
            key=lambda s: (
                place.get(s.predicted or ClassUid(""), len(place)),
                -s.confidence,
                s.rank,
            )
        )
        self._offered = {image.item_id: image for image in rest}
        return tuple(rest)

    def offer_burst(self, item_id: ItemId) -> tuple[QueryImage, ...]:
        """Return the frames that ``answer_burst`` may answer; see ``burst_of``."""
        frames = burst_of(self._round, item_id)
        self._offered = {frame.item_id: frame for frame in frames}
        return tuple(frames)

    def answer_burst(self, presses: Sequence[Press]) -> str:
        """Store the answers of a burst in one transaction, to be undone as a whole."""
        notice = self.answer(presses, note=BURST_NOTE)
        self._burst_events |= self._round.pages[-1].keys()
        return notice

    @property
    def is_burst_next(self) -> bool:
        """Whether the newest answer that can be undone belongs to a burst of this session."""
        return self._next_undone() in self._burst_events

    def answer(self, presses: Sequence[Press], *, note: str = GRID_NOTE) -> str:
        """Store a page of answers in one transaction, all or none; changed images are omitted."""
        open_round = self._round
        self._ids.forget()
        presses = [p for p in presses if open_round.is_unchanged(p.item_id, is_seen=True)]
        images = [self._offered.get(press.item_id) for press in presses]
        receipts = self._store.submit_many(
            [
                open_round.stored_form(press, image, note=note)
                for press, image in zip(presses, images, strict=True)
            ],
            annotator=open_round.annotator,
            session=open_round.session_id,
        )
        for press, image, receipt in zip(presses, images, receipts, strict=True):
            open_round.stats.add(press, image, receipt)
            open_round.learn(press.item_id, press.label)
        open_round.stats.recount()
        open_round.stats.measure_pace(None, answers=max(1, len(presses)))
        notice = open_round.follow()
        events = {r.event_id: p.item_id for p, r in zip(presses, receipts, strict=True)}
        open_round.pages.append(events)
        open_round.taken_back = None
        open_round.reload()
        open_round.take()
        late = sum(not receipt.is_counted for receipt in receipts)
        counted = f"{late} not counted: another annotator was first" if late else ""
        return join_notices(counted, notice)

    def undo(self) -> str:
        """Undo the newest page of this session, but nothing after it."""
        open_round = self._round
        standing = set(self._store.undoable(open_round.annotator))
        open_round.pages = [page for page in open_round.pages if standing & page.keys()]
        if not open_round.pages:
            return "no page to undo; single answers are undone on the label screen"
        page = open_round.pages[-1]
        count = len(standing & page.keys())
        if self._next_undone() not in page:
            return "you did more after that page: undo that first, on the label screen"
        while self._next_undone() in page:
            with self._ids.same_until_done("undo page") as op_id:
                self._store.undo(open_round.annotator, open_round.session_id, op_id=op_id)
        open_round.pages.pop()
        open_round.stats.recount()
        open_round.relearn(page.values())
        open_round.take()
        return f"took {count} answers back"

    def _next_undone(self) -> int | None:
        return next(iter(self._store.undoable(self._round.annotator, count=1)), None)
