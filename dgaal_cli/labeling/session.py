"""What every call of a label session shares: its state, the view of it, the task at hand."""

import secrets
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.labeling.annotators import new_op_id
from dgaal_cli.labeling.missing_files import AskedFiles
from dgaal_cli.labeling.queue import Ahead
from dgaal_cli.labeling.round_stats import RoundMemory
from dgaal_cli.labeling.view import LabelView, LearnerState, NextStep, Press, QueryImage, State
from dgaal_cli.rounds.learning_curve import CurvePoint, learning_curve
from dgaal_cli.rounds.state import round_state, trained_rounds
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import (
    Answer,
    Query,
    QueryEntry,
    QueryProgress,
    Shown,
    Task,
)
from dgaal_cli.store.standing_answers import BLIND_NOTE, StandingAnswer
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.labeling.file_changes import ImageWatch
    from dgaal_cli.labeling.learner import LiveGuesses

HISTORY = 200
"""Answers of the round that a view carries for display; undo knows them all."""


class LabelCore:
    """State of one annotator at one terminal."""

    def __init__(
        self,
        store: LabelStore,
        *,
        config: Config,
        workspace: Workspace,
        annotator: str,
        watch: "Callable[[], ImageWatch] | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._on_screen: ItemId | None = None
        """Image of the last view; its file was there then. If it is lost now, it was seen."""
        self._config = config
        self._workspace = workspace
        self._annotator = annotator
        self._session = secrets.token_hex(8)
        self._task: Task | None = None
        self._before: StandingAnswer | None = None
        self._query: Query | None = None
        self._curve: tuple[CurvePoint, ...] = ()
        self._labels: dict[ItemId, tuple[ClassUid, str]] = {}
        self._memory = RoundMemory(store, annotator, clock)
        self._ahead = Ahead(store, annotator, self._describe)
        self._files = AskedFiles(store, self._ahead, watch)
        self._learner: LiveGuesses | None = None
        self._is_learner_on = config.label.learner
        self._shown_next: ItemId | None = None
        self._grid: dict[ItemId, QueryImage] = {}
        self._pages: list[dict[int, ItemId]] = []
        """Events of every page of the grid, with their images."""
        self._unfinished = ("", "")
        """An action that failed, and the id that it keeps until it succeeds."""
        self._extended = 0
        self._ranked: list[QueryEntry] = []
        self._serial = 0

    def open(self, *, is_hurried: bool = False) -> LabelView:
        """Load the open query, remember this round's answers, and take the first task.

        Args:
            is_hurried: Leave comparing the first image's file to its answer; what that needs takes
                longer to import than a terminal's first frame may.
        """
        self._load()
        seems_there = self._seems_there() if is_hurried else False
        if seems_there is False:
            return self.view()
        if seems_there and self._task is not None:
            self._on_screen = self._task.item.item_id
        return self._described(is_hurried=True)

    def _load(self) -> None:
        query = self._store.open_query()
        if self._query is None or query is None or query.round != self._query.round:
            self._learner = self._ahead.guesses = None
            self._extended, self._ranked = 0, []
        self._query = query
        self._memory.open(query)
        self._curve = learning_curve(self._workspace)
        self._labels = {r.item_id: (r.class_uid, r.class_name) for r in self._store.labels()}
        self._before = None
        self._pages = []
        self._files.take_back_in(query)
        self._reload()
        self._take()

    def _follow_round(self) -> str:
        """Go over to the query that is open by now, as after somebody else's training; tell it.

        Between two queries the old one stays: there is nothing yet to go over to.
        """
        number = self._store.open_round()
        if number is None or (self._query is not None and number == self._query.round):
            return ""
        self._load()
        return f"another query was opened: these are the images of round {number}"

    def view(self, *, note: str = "", is_refused: bool = False) -> LabelView:
        """Describe where the session stands, from the store; lost images are passed over."""
        self._pass_lost()
        return self._described(note=note, is_refused=is_refused)

    def _described(
        self, *, note: str = "", is_refused: bool = False, is_hurried: bool = False
    ) -> LabelView:
        self._serial += 1
        query, tally = self._query, self._memory.tally
        image = self._current_image()
        upcoming = self._ahead.after(image)
        if not is_hurried:
            self._on_screen = image.item_id if image else None
            while self._files.drop_gone(upcoming, on_screen=self._on_screen):
                upcoming = self._ahead.after(image)
        progress = (
            self._store.query_progress(query.round)
            if query
            else QueryProgress(size=0, labeled=0, cannot_tell=0, skipped=0, left=0)
        )
        self._shown_next = upcoming[0].item_id if upcoming else None
        return LabelView(
            name=self._config.name or self._workspace.root.name,
            annotator=self._annotator,
            state=self._state(image, progress),
            round=query.round if query else None,
            strategy=query.strategy if query else "",
            classes=tuple(self._store.classes()),
            image=image,
            before=self._before,
            upcoming=upcoming,
            progress=progress,
            by_class=dict(tally.by_class),
            labeled=tally.labeled,
            spent=tally.spent,
            next_step=self._next_step(),
            budget=self._config.query.budget,
            items=tally.items,
            history=tuple(reversed(self._memory.history[-HISTORY:])),
            agreed=self._memory.agreed,
            answer_s=self._memory.answer_s,
            curve=self._curve,
            learner=self._learner_state(),
            extended=self._extended,
            ranked_ahead=len(self._ranked),
            serial=self._serial,
            note="; ".join(filter(None, [note, self._files.told()])),
            is_refused=is_refused,
        )

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _take(self) -> None:
        self._task = None
        if self._query is None:
            return
        first = self._ahead.first() if self._ahead.guesses else None
        if first is not None:
            self._task = self._store.next_task(self._annotator, self._session, item_id=first)
        self._task = self._task or self._store.next_task(self._annotator, self._session)

    @contextmanager
    def _action(self, name: str) -> Generator[str]:
        """Give an id for the history; the same again if the last action was this one and failed.

        An error may come after COMMIT: without the id, asking again would undo a second answer.
        """
        if self._unfinished[0] != name:
            self._unfinished = (name, new_op_id())
        yield self._unfinished[1]
        self._unfinished = ("", "")

    def _seems_there(self) -> bool | None:
        root, spec = self._workspace.root, self._config.pool.source
        return self._files.seems_there(self._task.item, root, spec) if self._task else None

    def _is_as_it_was(self, item_id: ItemId, *, is_seen: bool = False) -> bool:
        is_seen = is_seen or item_id == self._on_screen
        return self._files.is_as_it_was(item_id, is_seen=is_seen, on_screen=self._on_screen)

    def _pass_lost(self) -> None:
        """Take another task until the file of the one at hand is the one that was chosen."""
        while self._task is not None and not self._is_as_it_was(self._task.item.item_id):
            self._take()

    def _reload(self) -> None:
        self._ahead.guesses = self._learner if self._is_learner_on else None
        skipped = [g.item_id for g in self._memory.history if g.kind == "skip"]
        self._ahead.reload(put_off=skipped)

    def _learn(self, item_id: ItemId, uid: ClassUid | None) -> None:
        if self._learner is not None:
            self._learner.set_label(item_id, uid)

    def _relearn(self, items: Collection[ItemId]) -> None:
        """Bring memory and learner in line with the store after answers were taken back."""
        self._memory.reread()
        for item in items:
            earlier = self._labels.get(item)
            is_new = any(g.item_id == item for g in self._memory.history)
            uid = self._memory.label_of(item) if is_new else earlier[0] if earlier else None
            self._learn(item, uid)
        self._reload()

    def _learner_state(self) -> LearnerState:
        if self._learner is None:
            return "none"
        return "on" if self._is_learner_on else "off"

    def _state(self, image: QueryImage | None, progress: QueryProgress) -> State:
        if image:
            return "labeling"
        if self._query is None:
            return "empty"
        return "waiting" if progress.left else "answered"

    def _next_step(self) -> NextStep:
        newest = max(trained_rounds(self._workspace), default=-1)
        if self._query is not None and newest <= self._query.round:
            return "train"
        # A round that was killed after its training has asked nothing yet.
        return "query" if round_state(self._workspace, self._store).step == "query" else "train"

    def _stored_form(self, press: Press, image: QueryImage | None, *, note: str = "") -> Answer:
        query = self._query
        shown = Shown(
            shown_id=press.op_id,
            item_id=press.item_id,
            round=query.round if query else None,
            model_sha=query.model_sha if query else None,
            predicted=image.predicted if image else None,
            probability=image.confidence if image and image.probabilities else None,
            ui=press.ui,
            used_learner=bool(image and image.is_learned),
        )
        return Answer(
            op_id=press.op_id,
            kind=press.kind,
            item_id=press.item_id,
            class_uid=press.class_uid,
            shown=shown,
            elapsed_ms=press.elapsed_ms,
            note=note or (BLIND_NOTE if press.is_blind else ""),
        )

    def _current_image(self) -> QueryImage | None:
        task = self._task
        if task is None:
            return None
        return self._ahead.image(task.item, task.entry, is_flagged=task.flagged)

    def _describe(self, item_id: ItemId) -> tuple[str, str]:
        """Return the name of an image and its class, empty without one."""
        name = self._labels[item_id][1] if item_id in self._labels else ""
        return self._store.item(item_id).sample_id, name
