"""Label the open query: one operator's session over the label store, without any screen.

Every method returns after COMMIT; what it returns is a whole new view. The terminal keeps at most
one answer in flight and shows "saved" only when such a view has come back.
"""

import dataclasses
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.labeling.annotators import check_annotator
from dgaal_cli.labeling.round_session import RoundCalls
from dgaal_cli.labeling.view import LabelView, Press, QueryImage
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import (
    Answer,
    AnswerKind,
)
from dgaal_cli.store.standing_answers import StandingAnswer, given_of_undone, standing_answers
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.labeling.file_changes import ImageWatch

GRID_NOTE = "screen=grid"
"""Stands in the note of every answer that was given on a page of the grid."""


class LabelSession(RoundCalls):
    """One annotator at one terminal. Not thread-safe: call it from one thread."""

    # Answers

    def answer(self, press: Press) -> LabelView:
        """Store one answer and take the next task, in one transaction.

        Raises:
            StorageError: Nothing was stored; the same press may be sent again.
        """
        if not self._is_as_it_was(press.item_id):
            self._take()
            return self.view(note="not saved", is_refused=True)
        self._unfinished = ("", "")
        task = self._task
        image = self._current_image()
        lease = task.lease if task and task.item.item_id == press.item_id else None
        receipt = self._store.submit(
            self._stored_form(press, image),
            annotator=self._annotator,
            session=self._session,
            lease=lease,
            next_item=self._shown_next,
        )
        self._task, self._before, self._on_screen = receipt.next_task, None, None
        self._memory.add(press, image, receipt)
        self._memory.measure_pace(press.elapsed_ms)
        self._learn(press.item_id, press.class_uid if press.kind == "label" else None)
        self._ahead.drop(press.item_id, comes_back=press.kind == "skip")
        self._ahead.rank()
        late = "" if receipt.is_counted else "kept, not counted: somebody else had answered it"
        return self.view(note=_joined(late, self._follow_round()))

    def undo(self) -> LabelView:
        """Take the newest answer of the round back and show its image again.

        Like every action below, it may be asked again after an error and is still done once.
        """
        with self._action("undo") as op_id:
            return self._undo(op_id)

    def _undo(self, op_id: str) -> LabelView:
        told = self._follow_round()
        undone = self._store.undo(self._annotator, self._session, op_id=op_id)
        self._memory.recount()
        if undone is None:
            return self.view(note=_joined("nothing to undo in this round", told))
        self._task = undone.task
        if undone.task is None:
            self._take()
        if undone.kind not in ("label", "cannot_tell", "skip"):
            return self.view(note=_joined(f"took the {undone.kind} back", told))
        self._before = given_of_undone(undone)
        self._relearn([undone.item.item_id])
        return self.view(note=told)

    def redo(self) -> LabelView:
        """Bring the last undone answer back."""
        with self._action("redo") as op_id:
            return self._redo(op_id)

    def _redo(self, op_id: str) -> LabelView:
        told = self._follow_round()
        redone = self._store.redo(self._annotator, self._session, op_id=op_id)
        self._memory.recount()
        if redone is None:
            return self.view(note=_joined("nothing to redo", told))
        self._before = None
        self._relearn([redone.item.item_id])
        self._task = redone.task
        if redone.task is None:
            self._take()
        late = "" if redone.is_counted else "kept, not counted: others answered it"
        return self.view(note=_joined(late, told))

    def flag(self) -> LabelView:
        """Mark or unmark the image on the screen for a second look."""
        if self._task is None:
            return self.view(note="no image to flag")
        kind: AnswerKind = "unflag" if self._task.flagged else "flag"
        with self._action(kind) as op_id:
            receipt = self._store.submit(
                Answer(op_id=op_id, kind=kind, item_id=self._task.item.item_id),
                annotator=self._annotator,
                session=self._session,
                lease=self._task.lease,
            )
        self._task = receipt.next_task
        return self.view(note="flagged for a second look" if kind == "flag" else "flag removed")

    def add_class(self, name: str) -> LabelView:
        """Add a class on the way.

        Raises:
            UsageError: The name is taken or not usable.
        """
        added = self._store.add_class(name)
        return self.view(note=f"added class {added.name}")

    # A page of answers

    def grid(self) -> tuple[QueryImage, ...]:
        """What may be confirmed by the page: the query's rest with its guesses.

        Sorted by class, then the surest first. Images that are asked blind, synthetic ones and
        those that were skipped want a look of their own.
        """
        place = {record.uid: record.position for record in self._store.classes()}
        skipped = {g.item_id for g in self._memory.history if g.kind == "skip"}
        left = self._ahead.rest()
        if self._files.drop_gone(left):
            left = self._ahead.rest()
        rest = [
            image
            for image in left
            if image.predicted in place
            and not (image.is_blind or image.is_synthetic or image.item_id in skipped)
        ]
        rest.sort(key=lambda s: (place.get(s.predicted or ClassUid("")), -s.confidence, s.rank))
        self._grid = {image.item_id: image for image in rest}
        return tuple(rest)

    def answer_page(self, presses: Sequence[Press]) -> LabelView:
        """Store a page of answers in one transaction, all or none.

        Raises:
            StorageError: Nothing was stored; the same presses may be sent again.
        """
        self._unfinished = ("", "")
        presses = [p for p in presses if self._is_as_it_was(p.item_id, is_seen=True)]
        receipts = self._store.submit_many(
            [self._stored_form(p, self._grid.get(p.item_id), note=GRID_NOTE) for p in presses],
            annotator=self._annotator,
            session=self._session,
        )
        for press, receipt in zip(presses, receipts, strict=True):
            self._memory.add(press, self._grid.get(press.item_id), receipt)
            self._learn(press.item_id, press.class_uid if press.kind == "label" else None)
        self._memory.recount()
        self._memory.measure_pace(None, answers=max(1, len(presses)))
        told = self._follow_round()
        self._pages.append({r.event_id: p.item_id for p, r in zip(presses, receipts, strict=True)})
        self._before = None
        self._reload()
        self._take()
        late = sum(not receipt.is_counted for receipt in receipts)
        note = f"{late} not counted: somebody else had answered them" if late else ""
        return self.view(note=_joined(note, told))

    def undo_page(self) -> LabelView:
        """Take the newest page of this session back, and nothing that was done after it."""
        standing = set(self._store.undoable(self._annotator))
        self._pages = [page for page in self._pages if standing & page.keys()]
        if not self._pages:
            return self.view(note="no page to undo; u on the label screen undoes single answers")
        page = self._pages[-1]
        count = len(standing & page.keys())
        if self._next_undone() not in page:
            note = "you did more after that page: u on the label screen takes it back first"
            return self.view(note=note)
        while self._next_undone() in page:
            with self._action("undo page") as op_id:
                self._store.undo(self._annotator, self._session, op_id=op_id)
        self._pages.pop()
        self._memory.recount()
        self._relearn(page.values())
        self._take()
        return self.view(note=f"took {count} answers back")

    def _next_undone(self) -> int | None:
        stack = self._store.undoable(self._annotator)
        return stack[-1] if stack else None

    # Answers given before

    def review(self) -> tuple[StandingAnswer, ...]:
        """Every answer of this annotator that stands, of all rounds, newest first."""
        flagged = {item.item_id for item in self._store.flagged()}
        answers = standing_answers(self._store.events(annotator=self._annotator))
        answers = [answer for answer in reversed(answers) if answer.kind != "skip"]
        items = [answer.item_id for answer in answers]
        today = self._learner.task_model(items) if self._learner else {}
        return tuple(
            dataclasses.replace(
                answer, is_flagged=answer.item_id in flagged, today=today.get(answer.item_id)
            )
            for answer in answers
        )

    def flag_answer(self, item_id: ItemId, *, is_flagged: bool) -> LabelView:
        """Flag an image that was answered before, or take its flag off."""
        kind: AnswerKind = "flag" if is_flagged else "unflag"
        with self._action(f"{kind} {item_id}") as op_id:
            self._store.submit(
                Answer(op_id=op_id, kind=kind, item_id=item_id),
                annotator=self._annotator,
                session=self._session,
                take_next=False,
            )
        return self.view()

    def change(self, press: Press) -> LabelView:
        """Answer an image again that was answered before; undo takes it back like any other.

        Raises:
            StorageError: Nothing was stored; the same press may be sent again.
        """
        if not self._is_as_it_was(press.item_id, is_seen=True):
            return self.view(note="not saved", is_refused=True)
        self._unfinished = ("", "")
        self._store.submit(
            self._stored_form(press, None),
            annotator=self._annotator,
            session=self._session,
            take_next=False,
        )
        self._memory.recount()
        self._relearn([press.item_id])
        return self.view()


@contextmanager
def open_session(
    workspace: Workspace, config: Config, *, annotator: str
) -> Generator[Callable[[], LabelSession]]:
    """Lock the annotator's terminal; hand out a function that opens the session in its own thread.

    Raises:
        BusyError: This annotator labels here in another process; the message names it.
        UsageError: The name is empty or no file name.
    """
    check_annotator(annotator)
    with workspace.lock(f"label-{annotator}", doing=f"dgaal label as {annotator}"):
        yield lambda: LabelSession(
            LabelStore.open(workspace.store_path),
            config=config,
            workspace=workspace,
            annotator=annotator,
            watch=lambda: _watch(workspace, config),
        )


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _watch(workspace: Workspace, config: Config) -> "ImageWatch":
    from dgaal_cli.labeling.file_changes import ImageWatch  # NumPy, after the first frame

    return ImageWatch(workspace.root, config.pool.source)
