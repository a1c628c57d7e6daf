"""Label the open query: one operator's session over the label store, without any screen.

Every method returns after COMMIT; what it returns is a whole new view. The terminal keeps at most
one answer in flight and shows "saved" only when such a view has come back.
"""

import dataclasses
import secrets
import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dgaal_cli.config.schema import Config
from dgaal_cli.harmless import show
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.rounds import round_state
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import (
    Answer,
    AnswerKind,
    Query,
    QueryEntry,
    QueryProgress,
    Shown,
    Task,
)
from dgaal_cli.workflows.annotators import check_annotator, new_op_id
from dgaal_cli.workflows.label_ahead import Ahead
from dgaal_cli.workflows.label_memory import RoundMemory
from dgaal_cli.workflows.label_view import (
    CurvePoint,
    Given,
    LabelView,
    LearnerState,
    NextStep,
    Press,
    State,
    Subject,
    given_of_undone,
    learning_curve,
    standing_answers,
)
from dgaal_cli.workflows.live_guesses import LiveGuesses, load_guesses
from dgaal_cli.workflows.rounds_report import RoundsReport, rounds_report
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.workflows.label_watch import ImageWatch

LAST_PART = 5
"""When one in so many images of the query is left, what to ask next is ranked."""
HISTORY = 200
"""Answers of the round that a view carries for display; undo knows them all."""
GRID_NOTE = "screen=grid"
"""Stands in the note of every answer that was given on a page of the grid."""


class LabelSession:
    """One annotator at one terminal. Not thread-safe: call it from one thread."""

    def __init__(
        self,
        store: LabelStore,
        *,
        config: Config,
        workspace: Workspace,
        annotator: str,
        watch: "ImageWatch | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._watch = watch
        self._set_aside: list[str] = []
        self._config = config
        self._workspace = workspace
        self._annotator = annotator
        self._session = secrets.token_hex(8)
        self._task: Task | None = None
        self._before: Given | None = None
        self._query: Query | None = None
        self._curve: tuple[CurvePoint, ...] = ()
        self._labels: dict[ItemId, tuple[ClassUid, str]] = {}
        self._memory = RoundMemory(store, annotator, clock)
        self._ahead = Ahead(store, annotator, self._describe)
        self._learner: LiveGuesses | None = None
        self._is_learner_on = config.label.learner
        self._shown_next: ItemId | None = None
        self._grid: dict[ItemId, Subject] = {}
        self._pages: list[dict[int, ItemId]] = []
        """Events of every page of the grid, with their images."""
        self._unfinished = ("", "")
        """An action that failed, and the id that it keeps until it succeeds."""
        self._extended = 0
        self._ranked: list[QueryEntry] = []

    def open(self) -> LabelView:
        """Load the open query, remember this round's answers, and take the first task."""
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
        self._take_back_in()
        self._reload()
        self._take()
        return self.view()

    def view(self, *, note: str = "", is_refused: bool = False) -> LabelView:
        """Describe where the session stands, from the store."""
        self._pass_replaced()
        aside, self._set_aside = self._set_aside, []
        query, tally = self._query, self._memory.tally
        progress = (
            self._store.query_progress(query.round)
            if query
            else QueryProgress(size=0, labeled=0, cannot_tell=0, skipped=0, left=0)
        )
        subject = self._subject_of_task()
        upcoming = self._ahead.after(subject)
        self._shown_next = upcoming[0].item_id if upcoming else None
        return LabelView(
            name=self._config.name or self._workspace.root.name,
            annotator=self._annotator,
            state=self._state(subject, progress),
            round=query.round if query else None,
            strategy=query.strategy if query else "",
            classes=tuple(self._store.classes()),
            subject=subject,
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
            note="; ".join(filter(None, [note, _told(aside)])),
            is_refused=is_refused,
        )

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
        subject = self._subject_of_task()
        lease = task.lease if task and task.item.item_id == press.item_id else None
        receipt = self._store.submit(
            self._stored_form(press, subject),
            annotator=self._annotator,
            session=self._session,
            lease=lease,
            next_item=self._shown_next,
        )
        self._task, self._before = receipt.next_task, None
        self._memory.add(press, subject, receipt)
        self._memory.measure_pace(press.elapsed_ms)
        self._learn(press.item_id, press.class_uid if press.kind == "label" else None)
        self._ahead.drop(press.item_id, comes_back=press.kind == "skip")
        self._ahead.rank()
        late = "" if receipt.is_counted else "kept, not counted: somebody else had answered it"
        return self.view(note=late)

    def undo(self) -> LabelView:
        """Take the newest answer of the round back and show its image again.

        Like every action below, it may be asked again after an error and is still done once.
        """
        with self._action("undo") as op_id:
            return self._undo(op_id)

    def _undo(self, op_id: str) -> LabelView:
        undone = self._store.undo(self._annotator, self._session, op_id=op_id)
        self._memory.recount()
        if undone is None:
            return self.view(note="nothing to undo in this round")
        self._task = undone.task
        if undone.task is None:
            self._take()
        if undone.kind not in ("label", "cannot_tell", "skip"):
            return self.view(note=f"took the {undone.kind} back")
        self._before = given_of_undone(undone)
        self._relearn([undone.item.item_id])
        return self.view()

    def redo(self) -> LabelView:
        """Bring the last undone answer back."""
        with self._action("redo") as op_id:
            return self._redo(op_id)

    def _redo(self, op_id: str) -> LabelView:
        redone = self._store.redo(self._annotator, self._session, op_id=op_id)
        self._memory.recount()
        if redone is None:
            return self.view(note="nothing to redo")
        self._before = None
        self._relearn([redone.item.item_id])
        self._task = redone.task
        if redone.task is None:
            self._take()
        return self.view(note="" if redone.is_counted else "kept, not counted: others answered it")

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

    def grid(self) -> tuple[Subject, ...]:
        """What may be confirmed by the page: the query's rest with its guesses.

        Sorted by class, then the surest first. Images that are asked blind, synthetic ones and
        those that were skipped want a look of their own.
        """
        place = {record.uid: record.position for record in self._store.classes()}
        skipped = {g.item_id for g in self._memory.history if g.kind == "skip"}
        rest = [
            subject
            for subject in self._ahead.rest()
            if subject.predicted in place
            and not (subject.is_blind or subject.is_synthetic or subject.item_id in skipped)
        ]
        rest.sort(key=lambda s: (place.get(s.predicted or ClassUid("")), -s.confidence, s.rank))
        self._grid = {subject.item_id: subject for subject in rest}
        return tuple(rest)

    def answer_page(self, presses: Sequence[Press]) -> LabelView:
        """Store a page of answers in one transaction, all or none.

        Raises:
            StorageError: Nothing was stored; the same presses may be sent again.
        """
        self._unfinished = ("", "")
        presses = [press for press in presses if self._is_as_it_was(press.item_id)]
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
        self._pages.append({r.event_id: p.item_id for p, r in zip(presses, receipts, strict=True)})
        self._before = None
        self._reload()
        self._take()
        late = sum(not receipt.is_counted for receipt in receipts)
        note = f"{late} not counted: somebody else had answered them" if late else ""
        return self.view(note=note)

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
        if not self._is_as_it_was(press.item_id):
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

    # The learner

    def load_learner(self) -> LabelView:
        """Start to learn within the round, if the exported sampler has been run over the pool."""
        if self._query is not None and self._learner is None:
            uids = [record.uid for record in self._store.classes()]
            self._learner = load_guesses(self._workspace, round=self._query.round, classes=uids)
            if self._learner is not None:
                self._labels = {
                    r.item_id: (r.class_uid, r.class_name) for r in self._store.labels()
                }
                self._learner.start({item: uid for item, (uid, _) in self._labels.items()})
        self._reload()
        return self.view()

    def toggle_learner(self) -> LabelView:
        """Use the learner's guesses and order, or those that came with the query."""
        if self._learner is None:
            return self.view(note="no learner yet: it needs the sampler exported after training")
        self._is_learner_on = not self._is_learner_on
        self._reload()
        state = "on" if self._is_learner_on else "off"
        return self.view(note=f"learner {state}; each label records whose guess was shown")

    # Rounds

    def report(self) -> RoundsReport:
        """What the round screen shows."""
        return rounds_report(self._workspace, self._config, self._store)

    def set_config(self, values: dict[str, str | int | bool]) -> LabelView:
        """Change keys of ``dgaal.toml``, for the rounds to come.

        Raises:
            ConfigError: The value is not possible; the file is untouched.
        """
        from dgaal_cli.config.edit import set_values
        from dgaal_cli.methods.registry import check_method

        if "method" in values:
            check_method(str(values["method"]))
        self._config = set_values(self._workspace.config_path, values)
        words = ", ".join(f"{key} = {value}" for key, value in values.items())
        return self.view(note=f"dgaal.toml now says {words}")

    def keep_labeling(self) -> LabelView:
        """Ask more images in the open query while the next round trains.

        They are what the learner tells apart worst, by the sampler of the round before; the query
        after training is chosen by the new networks and by nothing of this.
        """
        if self._query is None or self._learner is None:
            return self.view(note="nothing to rank more images by; the next query comes soon")
        known = self._known()
        if any(entry.item_id in known for entry in self._ranked):
            self._ranked = []  # somebody else has answered meanwhile
        entries = self._ranked or self._rank_more(known)
        added, self._ranked = self._store.extend_query(entries), []
        self._query = self._store.open_query()
        self._extended += added
        self._reload()
        if self._task is None:
            self._take()
        return self.view(note=f"{added} more images, ranked by the round before")

    def rank_ahead(self) -> LabelView:
        """Rank what comes next while the last part of the query is answered.

        Takes milliseconds in a small pool and a moment in a large one: for the pauses between
        answers, so that ``keep_labeling`` need not wait.
        """
        query, learner = self._query, self._learner
        if query is not None and learner is not None and not self._ranked:
            left = self._store.query_progress(query.round).left
            if left * LAST_PART <= len(query.entries):
                rest = {subject.item_id for subject in self._ahead.rest()}
                self._ranked = self._rank_more(self._known() | rest)
        return self.view()

    def _known(self) -> set[ItemId]:
        asked = {entry.item_id for entry in self._query.entries} if self._query else set[ItemId]()
        return asked | set(self._labels) | self._store.cannot_tell()

    def _rank_more(self, known: set[ItemId]) -> list[QueryEntry]:
        if self._learner is None:
            return []
        budget, size = self._config.query.budget, self._config.query.size
        query = self._query
        open_ = self._store.query_progress(query.round).left if query else 0
        room = budget - self._memory.tally.spent - open_ if budget else size
        return self._learner.doubtful(max(0, min(size, room)), without=known)

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

    def _is_as_it_was(self, item_id: ItemId) -> bool:
        """Compare an image's file with what the store knows; set it aside if it was replaced."""
        item = self._store.item(item_id)
        if self._watch is None or self._watch.state_of(item) != "changed":
            return True
        self._store.set_states({item_id: "changed"})
        self._ahead.drop(item_id)
        self._set_aside.append(item.sample_id)
        return False

    def _pass_replaced(self) -> None:
        """Take another task until the file of the one at hand is the one that was chosen."""
        while self._task is not None and not self._is_as_it_was(self._task.item.item_id):
            self._take()

    def _take_back_in(self) -> None:
        """Ask images again whose old file is back."""
        for entry in self._query.entries if self._query and self._watch else ():
            item = self._store.item(entry.item_id)
            if item.state == "changed" and self._watch and self._watch.state_of(item) == "ok":
                self._store.set_states({entry.item_id: "ok"})

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

    def _stored_form(self, press: Press, subject: Subject | None, *, note: str = "") -> Answer:
        query = self._query
        shown = Shown(
            shown_id=press.op_id,
            item_id=press.item_id,
            round=query.round if query else None,
            model_sha=query.model_sha if query else None,
            predicted=subject.predicted if subject else None,
            probability=subject.confidence if subject and subject.probabilities else None,
            ui=press.ui,
            used_learner=bool(subject and subject.is_learned),
        )
        return Answer(
            op_id=press.op_id,
            kind=press.kind,
            item_id=press.item_id,
            class_uid=press.class_uid,
            shown=shown,
            elapsed_ms=press.elapsed_ms,
            note=note,
        )

    def _subject_of_task(self) -> Subject | None:
        task = self._task
        if task is None:
            return None
        return self._ahead.subject(task.item, task.entry, is_flagged=task.flagged)

    def _describe(self, item_id: ItemId) -> str:
        name = self._labels[item_id][1] if item_id in self._labels else ""
        return f"{self._store.item(item_id).sample_id} {name}".strip()


def _told(replaced: Sequence[str]) -> str:
    if not replaced:
        return ""
    names = ", ".join(show(name) for name in replaced[:3]) + (", ..." if replaced[3:] else "")
    return f"set aside, replaced since 'dgaal init': {names}; put the old file back to be asked"


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
            watch=_watch(workspace, config),
        )


def _watch(workspace: Workspace, config: Config) -> "ImageWatch":
    from dgaal_cli.workflows.label_watch import ImageWatch  # NumPy, after the first frame

    return ImageWatch(workspace.root, config.pool.source)
