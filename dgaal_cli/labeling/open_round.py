"""The open round of one annotator: its query, the order of images, the current image."""

from collections.abc import Callable, Collection

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.labeling.files import FileChecker, QueryFiles
from dgaal_cli.labeling.learner import SessionLearner, load_guesses
from dgaal_cli.labeling.queue import Queue
from dgaal_cli.labeling.round_stats import RoundStats
from dgaal_cli.labeling.standing_answers import BLIND_NOTE, StandingAnswer
from dgaal_cli.labeling.view import Press, QueryImage
from dgaal_cli.rounds.learning_curve import CurvePoint, learning_curve
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, Label, Query, QueryEntry, Shown, Task
from dgaal_cli.workspace import Workspace


class OpenRound:
    """State shared by answers, pages and the choice of more images."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        *,
        annotator: str,
        session_id: str,
        clock: Callable[[], float],
        checker: FileChecker | None,
        is_learner_on: bool,
        text: LabelText,
    ) -> None:
        self.store = store
        self._workspace = workspace
        self._text = text
        self.annotator = annotator
        self.session_id = session_id
        self.query: Query | None = None
        self.task: Task | None = None
        """The image to answer now."""
        self._names: dict[ClassUid, str] = {}
        self.taken_back: StandingAnswer | None = None
        """The answer of the current image that was just undone."""
        self.on_screen: ItemId | None = None
        """Image of the last view; its file existed then."""
        self.announced: ItemId | None = None
        """Next image of the last view."""
        self.pages: list[dict[int, ItemId]] = []
        """Events of each page of answers since the round was loaded, with their images."""
        self.ranked: list[QueryEntry] = []
        """Images ranked to be asked while the next round trains."""
        self.added = 0
        """Images that this session added to the query."""
        self.curve: tuple[CurvePoint, ...] = ()
        self.stats = RoundStats(store, annotator, clock)
        self.learner = SessionLearner(is_on=is_learner_on)
        self.queue = Queue(store, annotator, self.learner, self._describe)
        self.files = QueryFiles(store, self.queue, checker)

    def load(self) -> None:
        """Read the open query and this annotator's answers in it, and take the first image."""
        query = self.store.open_query()
        if self.query is None or query is None or query.round != self.query.round:
            self.learner.guesses = None
            self.added, self.ranked = 0, []
        self.query = query
        self.stats.open(query)
        self._names = self.store.class_names()
        self.curve = learning_curve(self._workspace)
        self.taken_back = None
        self.pages = []
        self.files.restore(query)
        self.queue.find_audited()
        self.reload()
        self.take()

    def follow(self) -> str:
        """Switch to the currently open query, as after a training elsewhere; return a notice.

        Between two queries the old one stays: there is nothing yet to switch to.
        """
        number = self.store.open_round()
        if number is None or (self.query is not None and number == self.query.round):
            return ""
        self.load()
        return f"another query was opened: these are the images of round {number}"

    def take(self) -> None:
        """Take the next image to answer."""
        self.task = None
        if self.query is None:
            return
        first = self.queue.first() if self.learner.active else None
        if first is not None:
            self.task = self.store.next_task(self.annotator, self.session_id, item_id=first)
        self.task = self.task or self.store.next_task(self.annotator, self.session_id)

    def pass_lost(self) -> None:
        """Skip images until the file of the current one is unchanged."""
        while self.task is not None and not self.is_unchanged(self.task.item.item_id):
            self.take()

    def is_unchanged(self, item_id: ItemId, *, is_seen: bool = False) -> bool:
        """Compare an image's file with the store; a shown image may be missing."""
        is_seen = is_seen or item_id == self.on_screen
        return self.files.is_unchanged(item_id, is_seen=is_seen, on_screen=self.on_screen)

    @property
    def image(self) -> QueryImage | None:
        """The image to answer now, as the terminal shows it."""
        task = self.task
        if task is None:
            return None
        return self.queue.image(task.item, task.entry, is_flagged=task.flagged)

    def stored_form(self, press: Press, image: QueryImage | None, *, note: str = "") -> Answer:
        """Return the answer to store, with what was shown next to the image."""
        query = self.query
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
            label=press.label,
            shown=shown,
            elapsed_ms=press.elapsed_ms,
            note=note or (BLIND_NOTE if press.is_blind else ""),
        )

    # Statistics and learner

    def reload(self) -> None:
        """Read the rest of the query again and order it."""
        skipped = [answer.item_id for answer in self.stats.history if answer.kind == "skip"]
        self.queue.reload(put_off=skipped)

    def relearn(self, items: Collection[ItemId]) -> None:
        """Update statistics and learner after answers were undone."""
        self.stats.reread(items)
        answered = {answer.item_id: answer.label for answer in self.stats.history}
        others = self.store.verdicts(items=set(items) - answered.keys())
        for item in items:
            self.learn(item, answered.get(item, others.get(item)))
        self.reload()

    def load_learner(self) -> None:
        """Load the learner if the predictions of the exported sampler exist."""
        if self.query is not None and self.learner.guesses is None:
            uids = [record.uid for record in self.store.classes()]
            guesses = load_guesses(self._workspace, round=self.query.round, classes=uids)
            if guesses is not None:
                labels = self.store.verdicts()
                known = {item: self._class_to_learn(item, own) for item, own in labels.items()}
                guesses.start({item: uid for item, uid in known.items() if uid is not None})
                self.learner.guesses = guesses
        self.reload()

    def learn(self, item_id: ItemId, label: Label | None) -> None:
        """Pass a label to the learner, which uses those that are one class."""
        self.learner.set_label(item_id, self._class_to_learn(item_id, label))

    def _class_to_learn(self, item_id: ItemId, label: Label | None) -> ClassUid | None:
        """Return the class of a label; None for an audited image: no model learns its label."""
        if label is None or item_id in self.queue.audited:
            return None
        return self._text.single_class(label)

    def _describe(self, item_id: ItemId) -> tuple[str, str]:
        """Return the name of an image and its class, empty without one."""
        label = self.store.verdicts(items=[item_id]).get(item_id)
        name = self._text.to_text(label, self._names) if label else ""
        return self.store.item(item_id).sample_id, name
