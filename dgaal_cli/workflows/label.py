"""Label the open query: one operator's session over the label store, without any screen.

Every method returns after COMMIT; what it returns is a whole new view. The terminal keeps at most
one answer in flight and shows "saved" only when such a view has come back.
"""

import dataclasses
import getpass
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId
from dgaal_cli.rounds import round_state
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import (
    Answer,
    AnswerKind,
    ItemRecord,
    Query,
    QueryEntry,
    QueryProgress,
    Shown,
    Task,
)
from dgaal_cli.workflows.label_view import (
    CurvePoint,
    Given,
    LabelView,
    NextStep,
    Press,
    State,
    Subject,
    Tally,
    given_of_undone,
    learning_curve,
    standing_answers,
)
from dgaal_cli.workspace import Workspace

HISTORY = 200
"""Answers of the round that a session remembers for display; undo knows them all."""
LOOK_AHEAD = 4
"""Images offered for decoding ahead."""
IDLE_S = 30.0
"""A longer pause is a pause, not a slow answer; it counts as this much in the rate."""
BLIND_EVERY = 10
"""With hints on, one item in this many is still asked without, to measure what hints do."""


class LabelSession:
    """One annotator at one terminal. Not thread-safe: call it from one thread."""

    def __init__(
        self,
        store: LabelStore,
        *,
        config: Config,
        workspace: Workspace,
        annotator: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._config = config
        self._workspace = workspace
        self._annotator = annotator
        self._session = secrets.token_hex(8)
        self._clock = clock
        self._task: Task | None = None
        self._before: Given | None = None
        self._query: Query | None = None
        self._history: list[Given] = []
        self._paces: deque[float] = deque(maxlen=20)
        self._last_answer_at: float | None = None
        self._curve: tuple[CurvePoint, ...] = ()
        self._class_of: dict[ItemId, str] = {}
        self._tally = Tally()

    def open(self) -> LabelView:
        """Load the open query, remember this round's answers, and take the first task."""
        self._query = self._store.open_query()
        self._tally = Tally.of(self._store.counts())
        self._history = self._remember()
        self._curve = learning_curve(self._workspace)
        self._class_of = {r.item_id: r.class_name for r in self._store.labels()}
        self._before = None
        self._take()
        return self.view()

    def view(self, *, note: str = "") -> LabelView:
        """Describe where the session stands, from the store."""
        query, tally = self._query, self._tally
        progress = (
            self._store.query_progress(query.round)
            if query
            else QueryProgress(size=0, labeled=0, cannot_tell=0, skipped=0, left=0)
        )
        subject = self._subject_of_task()
        compared = [g for g in self._history if g.kind == "label" and g.predicted is not None]
        return LabelView(
            name=self._config.name or self._workspace.root.name,
            annotator=self._annotator,
            state=self._state(subject, progress),
            round=query.round if query else None,
            strategy=query.strategy if query else "",
            classes=tuple(self._store.classes()),
            subject=subject,
            before=self._before,
            upcoming=self._upcoming(subject),
            progress=progress,
            by_class=dict(tally.by_class),
            labeled=tally.labeled,
            spent=tally.spent,
            next_step=self._next_step(),
            budget=self._config.query.budget,
            items=tally.items,
            history=tuple(reversed(self._history[-HISTORY:])),
            agreed=(sum(g.predicted == g.class_uid for g in compared), len(compared)),
            answer_s=sum(self._paces) / len(self._paces) if len(self._paces) > 1 else None,
            curve=self._curve,
            note=note,
        )

    def answer(self, press: Press) -> LabelView:
        """Store one answer and take the next task, in one transaction.

        Raises:
            StorageError: Nothing was stored; the same press may be sent again.
        """
        task = self._task
        subject = self._subject_of_task()
        lease = task.lease if task and task.item.item_id == press.item_id else None
        receipt = self._store.submit(
            self._stored_form(press, subject),
            annotator=self._annotator,
            session=self._session,
            lease=lease,
        )
        self._task, self._before = receipt.next_task, None
        is_new = all(g.event_id != receipt.event_id for g in self._history)
        if subject and subject.item_id == press.item_id and is_new:
            self._tally.add(press, is_pool=not subject.is_synthetic and receipt.is_counted)
            self._history = [g for g in self._history if g.item_id != press.item_id]
            self._history.append(
                Given(
                    event_id=receipt.event_id,
                    item_id=press.item_id,
                    sample_id=subject.sample_id,
                    is_synthetic=subject.is_synthetic,
                    kind=press.kind,
                    class_uid=press.class_uid,
                    elapsed_ms=press.elapsed_ms,
                    predicted=subject.predicted,
                )
            )
        if self._tally.is_stale:
            self._tally = Tally.of(self._store.counts())
        self._measure_pace(press.elapsed_ms)
        late = "" if receipt.is_counted else "kept, not counted: somebody else had answered it"
        return self.view(note=late)

    def undo(self) -> LabelView:
        """Take the newest answer of the round back and show its image again."""
        undone = self._store.undo(self._annotator, self._session)
        self._tally = Tally.of(self._store.counts())
        if undone is None:
            return self.view(note="nothing to undo in this round")
        self._task = undone.task
        if undone.task is None:
            self._take()
        if undone.kind not in ("label", "cannot_tell", "skip"):
            return self.view(note=f"took the {undone.kind} back")
        self._before = given_of_undone(undone)
        self._history = self._remember()
        return self.view()

    def redo(self) -> LabelView:
        """Bring the last undone answer back."""
        redone = self._store.redo(self._annotator, self._session)
        self._tally = Tally.of(self._store.counts())
        if redone is None:
            return self.view(note="nothing to redo")
        self._before = None
        self._history = self._remember()
        self._task = redone.task
        if redone.task is None:
            self._take()
        return self.view(note="" if redone.is_counted else "kept, not counted: others answered it")

    def review(self) -> tuple[Given, ...]:
        """Every answer of this annotator that stands, of all rounds, newest first."""
        flagged = {item.item_id for item in self._store.flagged()}
        answers = standing_answers(self._store.events(annotator=self._annotator))
        return tuple(
            dataclasses.replace(answer, is_flagged=answer.item_id in flagged)
            for answer in reversed(answers)
            if answer.kind != "skip"
        )

    def change(self, press: Press) -> LabelView:
        """Answer an image again that was answered before; undo takes it back like any other.

        Raises:
            StorageError: Nothing was stored; the same press may be sent again.
        """
        self._store.submit(
            self._stored_form(press, None),
            annotator=self._annotator,
            session=self._session,
            take_next=False,
        )
        self._tally = Tally.of(self._store.counts())
        self._history = self._remember()
        return self.view()

    def flag(self) -> LabelView:
        """Mark or unmark the image on the screen for a second look."""
        if self._task is None:
            return self.view(note="no image to flag")
        kind: AnswerKind = "unflag" if self._task.flagged else "flag"
        receipt = self._store.submit(
            Answer(op_id=new_op_id(), kind=kind, item_id=self._task.item.item_id),
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

    def finish_query(self) -> int:
        """Close the open query; images left unanswered return to the pool.

        Returns:
            How many returned.
        """
        query = self._store.open_query()
        self._task = None
        return self._store.close_query(query.round) if query else 0

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _take(self) -> None:
        self._task = self._store.next_task(self._annotator, self._session) if self._query else None

    def _state(self, subject: Subject | None, progress: QueryProgress) -> State:
        if subject:
            return "labeling"
        if self._query is None:
            return "empty"
        return "waiting" if progress.left else "answered"

    def _next_step(self) -> NextStep:
        if self._query is not None:
            return "train"
        return "query" if round_state(self._workspace, self._store).step == "query" else "train"

    def _stored_form(self, press: Press, subject: Subject | None) -> Answer:
        query = self._query
        shown = Shown(
            shown_id=press.op_id,
            item_id=press.item_id,
            round=query.round if query else None,
            model_sha=query.model_sha if query else None,
            predicted=subject.predicted if subject else None,
            probability=dict(subject.probabilities).get(subject.predicted)
            if subject and subject.predicted
            else None,
            ui=press.ui,
            used_learner=press.used_learner,
        )
        return Answer(
            op_id=press.op_id,
            kind=press.kind,
            item_id=press.item_id,
            class_uid=press.class_uid,
            shown=shown,
            elapsed_ms=press.elapsed_ms,
        )

    def _subject_of_task(self) -> Subject | None:
        task = self._task
        if task is None:
            return None
        return self._subject(task.item, task.entry, is_flagged=task.flagged)

    def _subject(
        self, item: ItemRecord, entry: QueryEntry | None, *, is_flagged: bool = False
    ) -> Subject:
        plain = Subject(
            item_id=item.item_id,
            sample_id=item.sample_id,
            is_synthetic=item.is_synthetic,
            is_flagged=is_flagged,
            is_blind=item.item_id % BLIND_EVERY == 0,
        )
        if entry is None:
            return plain
        return dataclasses.replace(
            plain,
            rank=entry.rank,
            reason=entry.reason,
            score=entry.score,
            percentile=entry.percentile,
            nearest=self._describe(entry.nearest),
            predicted=entry.predicted,
            probabilities=entry.probabilities,
        )

    def _describe(self, item_id: ItemId | None) -> str:
        if item_id is None:
            return ""
        name = self._class_of.get(item_id, "")
        return f"{self._store.item(item_id).sample_id} {name}".strip()

    def _upcoming(self, subject: Subject | None) -> tuple[Subject, ...]:
        if subject is None:
            return ()
        ahead = self._store.upcoming(self._annotator, LOOK_AHEAD)
        return tuple(
            self._subject(u.item, u.entry) for u in ahead if u.item.item_id != subject.item_id
        )

    def _remember(self) -> list[Given]:
        """This annotator's answers of the open round that stand."""
        if self._query is None:
            return []
        events = self._store.events(annotator=self._annotator, round=self._query.round)
        return standing_answers(events)

    def _measure_pace(self, elapsed_ms: int | None) -> None:
        now = self._clock()
        if self._last_answer_at is not None:
            self._paces.append(min(now - self._last_answer_at, IDLE_S))
        elif elapsed_ms is not None:
            self._paces.append(min(elapsed_ms / 1000, IDLE_S))
        self._last_answer_at = now


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
        )


def default_annotator() -> str:
    """Name of the operating system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def check_annotator(name: str) -> None:
    """Refuse names that are no file name, since a lock file carries them."""
    if not name or name.startswith(".") or not all(c.isalnum() or c in "._-@+" for c in name):
        raise UsageError(
            "the annotator's name may hold letters, digits and . _ - @ +; "
            "give another one with --annotator NAME"
        )
    if len(name.encode()) > 100:
        raise UsageError("the annotator's name is longer than 100 bytes; give a shorter one")


def new_op_id() -> str:
    """Identity of one key press, made when the key is pressed."""
    return secrets.token_hex(16)
