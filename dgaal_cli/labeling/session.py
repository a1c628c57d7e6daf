"""One annotator at one terminal: opens the round, passes calls on, and describes where it stands.

Every method returns after COMMIT; what it returns is a whole new view. The terminal keeps at most
one answer in flight and shows "saved" only when such a view has come back.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dgaal_cli.config.schema import Config
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.errors import StoreChangedError
from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.annotators import OperationIds
from dgaal_cli.labeling.answers import Answers
from dgaal_cli.labeling.files import FileChecker
from dgaal_cli.labeling.more_images import MoreImages
from dgaal_cli.labeling.neighbors import LabeledNeighbor, nearest_labeled
from dgaal_cli.labeling.open_round import OpenRound
from dgaal_cli.labeling.pages import Pages
from dgaal_cli.labeling.rescue import SessionRescue
from dgaal_cli.labeling.rounds_report import RoundsReport, rounds_report
from dgaal_cli.labeling.standing_answers import StandingAnswer
from dgaal_cli.labeling.view import LabelView, NextStep, Press, QueryImage, State, join_notices
from dgaal_cli.rounds.audit_estimate import pool_estimate
from dgaal_cli.rounds.state import round_state, trained_rounds
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import QueryProgress
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.audit.estimate import Interval

MAX_HISTORY = 200
"""Max answers in a view; undo is not limited by it."""


class LabelSession:
    """What a front end calls. Not thread-safe: call it from one thread.

    A method that writes raises ``StorageError`` where nothing was stored; the same call, with the
    same press, may then be made again and is done once. Every method raises ``StoreChangedError``
    if another program moved, replaced or overwrote the store; answers of this session that are no
    longer in it are then in a file that the message names.
    """

    def __init__(
        self,
        store: Store,
        *,
        config: Config,
        workspace: Workspace,
        annotator: str,
        checker: FileChecker | None = None,
        clock: Callable[[], float] = time.monotonic,
        notice: str = "",
    ) -> None:
        """Prepare a session; ``open`` starts it, and ``close`` closes its store.

        The first view shows ``notice``. Without a ``checker``, files of images are not compared.
        ``clock`` returns seconds.
        """
        self._store = store
        self._config = config
        self._workspace = workspace
        ids = OperationIds()
        text = load_task(config.task).text
        self._round = OpenRound(
            store,
            workspace,
            annotator=annotator,
            session_id=secrets.token_hex(8),
            clock=clock,
            checker=checker,
            is_learner_on=config.label.learner,
            text=text,
        )
        self._answers = Answers(self._round, ids)
        self._pages = Pages(self._round, ids)
        self._more = MoreImages(self._round, workspace, lambda: self._config)
        self._serial = 0
        self._notice = notice
        self._estimate: Interval | None = None
        self._rescue = SessionRescue(workspace.root, text)
        store.on_change(self._rescue)

    def open(self, *, is_hurried: bool = False) -> LabelView:
        """Load the open query, remember this round's answers, and take the first image.

        Args:
            is_hurried: Leave comparing the first image's file to its answer; what that needs takes
                longer to import than a terminal's first frame may.

        Raises:
            PoolGoneError: The pool is missing as a whole, or contains other images.
        """
        self._round.load()
        task = self._round.task
        if task is not None:
            self._round.files.check_pool()
            if not is_hurried:
                self._round.pass_lost()
        is_there = self._round.files.seems_there(task.item) if is_hurried and task else None
        if not is_hurried or is_there is False:
            return self.view()
        if is_there and task:
            self._round.on_screen = task.item.item_id
        return self._described(is_hurried=True)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def check(self) -> None:
        """Check that all answers of this session are still in the store.

        Raises:
            StoreChangedError: Another program removed some; the message names the file with them.
        """
        try:
            self._store.check_unchanged()
        except StoreChangedError:
            if self._rescue.has_lost:
                raise

    def view(self, *, note: str = "", is_refused: bool = False) -> LabelView:
        """Describe where the session stands, from the store; lost images are passed over."""
        try:
            self._round.pass_lost()
        except PoolGoneError as error:
            note = join_notices(note, str(error))
        return self._described(note=note, is_refused=is_refused)

    # Answers

    def answer(self, press: Press) -> LabelView:
        """Store one answer and take the next image, in one transaction."""
        if not self._round.is_unchanged(press.item_id):
            self._round.take()
            return self.view(note="not saved", is_refused=True)
        return self.view(note=self._answers.give(press))

    def undo(self) -> LabelView:
        """Undo the newest answer of the round and show its image again; a burst as a whole."""
        if self._pages.is_burst_next:
            return self.undo_page()
        return self.view(note=self._answers.undo())

    def redo(self) -> LabelView:
        """Restore the last undone answer."""
        return self.view(note=self._answers.redo())

    def flag(self) -> LabelView:
        """Flag or unflag the current image."""
        return self.view(note=self._answers.flag())

    def add_class(self, name: str) -> LabelView:
        """Add a class; ``UsageError`` if the name is invalid or in use."""
        return self.view(note=f"added class {self._store.add_class(name).name}")

    def review(self) -> tuple[StandingAnswer, ...]:
        """Return this annotator's current answers and all other labels, newest first."""
        return self._answers.given()

    def flag_answer(self, item_id: ItemId, *, is_flagged: bool) -> LabelView:
        """Flag or unflag an answered image."""
        self._answers.flag_given(item_id, is_flagged=is_flagged)
        return self.view()

    def change(self, press: Press) -> LabelView:
        """Change the answer of an image."""
        if not self._round.is_unchanged(press.item_id, is_seen=True):
            return self.view(note="not saved", is_refused=True)
        return self.view(note=self._answers.change(press))

    def grid(self) -> tuple[QueryImage, ...]:
        """Return the images to confirm, by class, highest confidence first."""
        return self._pages.offer()

    def answer_page(self, presses: Sequence[Press]) -> LabelView:
        """Store a page of answers in one transaction, all or none."""
        return self.view(note=self._pages.answer(presses))

    def burst(self, item_id: ItemId) -> tuple[QueryImage, ...]:
        """Return the frames without an answer of the group of an image, in order."""
        return self._pages.offer_burst(item_id)

    def answer_burst(self, presses: Sequence[Press]) -> LabelView:
        """Store the answers of a burst in one transaction; one undo takes all of them back."""
        return self.view(note=self._pages.answer_burst(presses))

    def undo_page(self) -> LabelView:
        """Undo the newest page of this session, but nothing after it."""
        return self.view(note=self._pages.undo())

    # Learner

    def load_learner(self) -> LabelView:
        """Load the learner if the predictions of the exported sampler exist."""
        self._round.load_learner()
        found = pool_estimate(self._workspace, self._config, self._store)
        self._estimate = found and found.accuracy
        return self.view()

    def toggle_learner(self) -> LabelView:
        """Switch between the learner's guesses and order and those of the query."""
        learner = self._round.learner
        if learner.guesses is None:
            return self.view(note="no learner yet: it needs the sampler exported after training")
        learner.is_on = not learner.is_on
        self._round.reload()
        return self.view(note=f"learner {learner.state}; each label records whose guess was shown")

    def nearest_labeled(self, item_id: ItemId) -> tuple[LabeledNeighbor, ...]:
        """Return the labeled images most alike to an image; none where features are missing."""
        return nearest_labeled(self._round, item_id)

    # Rounds

    def report(self) -> RoundsReport:
        """Return the content of the round screen."""
        return rounds_report(self._workspace, self._config, self._store)

    def set_config(self, values: dict[str, str | int | bool]) -> LabelView:
        """Change keys of ``dgaal.toml``, for the rounds to come.

        Raises:
            ConfigError: The value is not possible; the file is untouched.
        """
        from dgaal_cli.methods.configuration import change_configuration

        self._config = change_configuration(self._workspace.config_path, values)
        words = ", ".join(f"{key} = {value}" for key, value in values.items())
        return self.view(note=f"dgaal.toml now says {words}")

    def label_on(self) -> LabelView:
        """Continue labeling after a failed training: the rest of the query, else more images."""
        return self.view(note=self._more.after_failure())

    def keep_labeling(self) -> LabelView:
        """Ask more images in the open query while the next round trains."""
        return self.view(note=self._more.during_training())

    def rank_ahead(self) -> LabelView:
        """Rank the next images while the last part of the query is answered."""
        self._more.rank_ahead()
        return self.view()

    def finish_query(self) -> int:
        """Close the open query; images left unanswered return to the pool.

        Returns:
            How many returned.
        """
        query = self._store.open_query()
        self._round.task = None
        return self._store.close_query(query.round) if query else 0

    # The view

    def _described(
        self, *, note: str = "", is_refused: bool = False, is_hurried: bool = False
    ) -> LabelView:
        self._serial += 1
        note, self._notice = join_notices(self._notice, note), ""
        classes = tuple(self._store.classes())
        self._rescue.names |= {record.uid: record.name for record in classes}
        open_round, stats, query = self._round, self._round.stats, self._round.query
        image = open_round.image
        upcoming = open_round.queue.after(image)
        if not is_hurried:
            shown = image.item_id if image else None
            if image and shown != open_round.on_screen and not open_round.files.has(image):
                shown = None
            open_round.on_screen = shown
            while open_round.files.drop_gone(upcoming, on_screen=open_round.on_screen):
                upcoming = open_round.queue.after(image)
        open_round.announced = upcoming[0].item_id if upcoming else None
        progress = (
            self._store.query_progress(query.round)
            if query
            else QueryProgress(size=0, labeled=0, cannot_tell=0, skipped=0, left=0)
        )
        return LabelView(
            name=self._config.name or self._workspace.root.name,
            state=self._state(image, progress),
            round=query.round if query else None,
            strategy=query.strategy if query else "",
            classes=classes,
            image=image,
            before=open_round.taken_back,
            upcoming=upcoming,
            progress=progress,
            by_class=stats.counts.by_class,
            labeled=stats.counts.labeled,
            spent=stats.counts.annotations,
            next_step=self._next_step(),
            budget=self._config.query.budget,
            items=stats.counts.items,
            history=tuple(reversed(stats.history[-MAX_HISTORY:])),
            agreed=stats.agreed,
            answer_s=stats.answer_s,
            curve=open_round.curve,
            estimate=self._estimate,
            learner=open_round.learner.state,
            extended=open_round.added,
            ranked_ahead=len(open_round.ranked),
            serial=self._serial,
            note=join_notices(note, open_round.files.pop_notices()),
            is_refused=is_refused,
        )

    def _state(self, image: QueryImage | None, progress: QueryProgress) -> State:
        if image:
            return "labeling"
        if self._round.query is None:
            return "empty"
        return "waiting" if progress.left else "answered"

    def _next_step(self) -> NextStep:
        query = self._round.query
        newest = max(trained_rounds(self._workspace), default=-1)
        if query is not None and newest <= query.round:
            return "train"
        # A round that was killed after its training has asked nothing yet.
        return "query" if round_state(self._workspace, self._store).step == "query" else "train"
