"""The label screen: one image, one key, saved, next."""

from collections.abc import Callable, Sequence
from typing import Literal

from textual import events, timer
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from dgaal_cli.errors import DgaalError
from dgaal_cli.harmless import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.bridge import (
    AnswerName,
    Bridge,
    LabelSession,
    LabelView,
    Outcome,
    Press,
    Subject,
    new_op_id,
)
from dgaal_cli.tui.gate import Gate, Verdict
from dgaal_cli.tui.keymap import make_keymap
from dgaal_cli.tui.screens.dialogs import (
    AddClassDialog,
    ConfirmDialog,
    FindClassDialog,
    UnsavedDialog,
)
from dgaal_cli.tui.screens.help import HelpDialog
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.review import ReviewScreen
from dgaal_cli.tui.screens.training import Closing, TrainingDialog
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.trainer import Step, Trainer, TrainingState
from dgaal_cli.tui.widgets import words
from dgaal_cli.tui.widgets.bars import SaveState
from dgaal_cli.tui.widgets.deck import Deck, Scene
from dgaal_cli.tui.widgets.lines import Pieces

SMALLEST = (40, 12)
FLASH_S = 1.5
CODE_S = 1.5
"""The first key of two is forgotten after this."""
REST_S = 25 * 60
_ANSWERS = ("accept", "cannot_tell", "skip")


class LabelScreen(Screen[None]):
    """Judges keys, sends answers, and never shows "saved" before COMMIT has returned."""

    def __init__(self, bridge: Bridge, view: LabelView, settings: Settings) -> None:
        super().__init__()
        self.bridge = bridge
        self.view = view
        self.settings = settings
        self.keymap = make_keymap(view.classes)
        self.gate = Gate(settings.clock, visible_s=settings.gate_s)
        self.subject: Subject | None = view.subject
        self.pending: Press | None = None
        """The one answer that is not saved yet."""
        self.busy = ""
        """Another call under way: undo, redo, flag."""
        self.are_hints_on = settings.hints
        self.is_toggled = False
        self.prefix = ""
        self._flash: Pieces = ()
        self._flash_timer: timer.Timer | None = None
        self._code_timer: timer.Timer | None = None
        self._is_failed = False
        self._started_at = settings.clock()
        self.training: TrainingDialog | None = None
        """The dialog of the last round's end; its process may outlive the terminal."""
        self.deck = Deck(self.scene(), settings.mode, settings.make_reader)

    def compose(self) -> ComposeResult:
        """The deck, and a word for terminals that are too small for it."""
        yield self.deck
        yield Static("", id="too-small", markup=False)

    def on_mount(self) -> None:
        """Say what was resumed; offer the next round where nothing is left."""
        count = len(self.view.history)
        if count and self.view.subject:
            words_ = f"resumed after {count} answers, nothing lost"
            self.flash(((" ✔ ", theme.GOOD_STRONG), (words_, theme.BASE)), seconds=4)
        if self.settings.is_review_first:
            self.call_after_refresh(self.do_review)
        elif self.view.state == "answered":
            self.call_after_refresh(self.offer_training)

    def on_resize(self, event: events.Resize) -> None:
        """Hide the deck where it does not fit; no answer counts then."""
        width, height = event.size
        is_too_small = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(is_too_small, "-too-small")
        if is_too_small:
            self.gate.hide()
            note = f"{width}x{height} is too small for an image and its keys:\n"
            note += f"make it {SMALLEST[0]}x{SMALLEST[1]}"
            self.query_one("#too-small", Static).update(note)

    def scene(self) -> Scene:
        """What is to be seen now."""
        return Scene(
            view=self.view,
            subject=self.subject,
            keymap=self.keymap,
            save_state=self.save_state,
            pending=self.pending,
            flash=self._flash,
            prefix=self.prefix,
            are_hints_on=self.are_hints_on,
            is_toggled=self.is_toggled,
            is_rest_due=self.settings.clock() - self._started_at > REST_S,
        )

    def draw(self) -> None:
        """Draw everything; rows that did not change are not sent."""
        self.deck.show(self.scene())

    def painted(self) -> None:
        """Note that a frame has gone to the terminal."""
        self.deck.start_loading()
        is_whole = self.is_current and not self.has_class("-too-small")
        if is_whole and self.deck.is_judgeable:
            self.gate.paint()

    @property
    def save_state(self) -> SaveState:
        """What the first line says about the disk."""
        if self._is_failed:
            return "unsaved"
        return "saving" if self.pending or self.busy else "saved"

    def flash(self, pieces: Pieces, *, seconds: float = FLASH_S) -> None:
        """Show a line in place of the last answer for a moment."""
        self._flash = pieces
        if self._flash_timer:
            self._flash_timer.stop()
        self._flash_timer = self.set_timer(seconds, self._end_flash)
        self.draw()

    def warn(self, message: str, *, is_bell: bool = False) -> None:
        """Show why a key did nothing."""
        if is_bell:
            self.app.bell()
        self.flash(((" ! ", theme.BAD), (show(message), theme.WARN)))

    def _end_flash(self) -> None:
        self._flash = ()
        self.draw()

    # Keys

    def on_key(self, event: events.Key) -> None:
        """Judge a key and do what it means."""
        event.stop()
        key = key_name(event)
        if key == "escape":
            self.gate.hear_escape()
            self._set_prefix("")
            return
        uid = self.keymap.codes.get(self.prefix + key)
        name = "" if self.prefix else self._command_name(key)
        is_answer = self.view.state == "labeling" and (uid is not None or name in _ANSWERS)
        verdict = self.gate.judge(key, is_answer=is_answer)
        if verdict is not Verdict.ACCEPTED:
            if name or uid or self.keymap.starts_code(key):
                self.warn(verdict.value)
        elif self.has_class("-too-small"):
            if name == "quit":
                self.do_quit()
        else:
            self._act(key, uid, name)

    def _command_name(self, key: str) -> str:
        command = self.keymap.commands.get(key)
        return command.name if command else ""

    def _act(self, key: str, uid: ClassUid | None, name: str) -> None:
        if uid is not None:
            self._set_prefix("")
            self.answer("label", uid)
        elif self.prefix:
            if key != "backspace":
                self.warn(f"no class has the keys {self.prefix}{key}")
            self._set_prefix("")
        elif self.keymap.starts_code(key) and self.view.state == "labeling":
            self._set_prefix(key)
        elif name:
            getattr(self, f"do_{name}")()

    def on_paste(self, event: events.Paste) -> None:
        """A paste is never an answer."""
        event.stop()
        self.warn("pasted text is ignored")

    def _set_prefix(self, prefix: str) -> None:
        if self._code_timer:
            self._code_timer.stop()
            self._code_timer = None
        if prefix != self.prefix:
            self.prefix = prefix
            self.draw()
        if prefix:
            self._code_timer = self.set_timer(CODE_S, lambda: self._set_prefix(""))

    # Answers

    def answer(self, kind: AnswerName, uid: ClassUid | None = None) -> None:
        """Send one answer to the store and show the next image meanwhile."""
        subject = self.subject
        if self.view.state != "labeling" or subject is None:
            self.warn("no image to answer")
            return
        if self.pending or self.busy:
            self.warn("the last answer is still being saved")
            return
        if kind == "label" and not self.deck.has_image:
            self.warn("no image to judge: can't tell, or skip")
            return
        self.pending = Press(
            op_id=new_op_id(),
            kind=kind,
            item_id=subject.item_id,
            class_uid=uid,
            elapsed_ms=self.gate.elapsed_ms(),
            ui=self._ui(subject),
        )
        self._flash = ()
        self._send()
        if self.view.upcoming:
            self.show_subject(self.view.upcoming[0])
        else:
            self.draw()

    def show_subject(self, subject: Subject | None) -> None:
        """Put an image on the screen; answers wait until it is painted."""
        if subject is None or self.subject is None or subject.item_id != self.subject.item_id:
            self.gate.hide()
        self.subject = subject
        self.draw()

    def _ui(self, subject: Subject) -> Literal["hidden", "top1", "probs"]:
        if not self.scene().is_guess_visible:
            return "hidden"
        return "probs" if subject.probabilities else "top1"

    def _send(self) -> None:
        press = self.pending
        if press is None:
            return

        def deliver(outcome: Outcome) -> None:
            if isinstance(outcome, LabelView):
                self.post_message(messages.Saved(outcome, press))
            else:
                self.post_message(messages.SaveFailed(outcome, press))

        self.bridge.call(lambda session: session.answer(press), deliver)

    def on_saved(self, message: messages.Saved) -> None:
        """COMMIT has returned: now it is saved, and the next answer may come."""
        self.pending, self._is_failed = None, False
        self._take_view(message.view)
        if self.view.state == "answered":
            self.offer_training()

    def on_save_failed(self, message: messages.SaveFailed) -> None:
        """Show the image again, with its answer kept, and let nothing else happen."""
        self._is_failed = True
        self.show_subject(self.view.subject)
        spoken = words.press_words(message.press, self.view, self.keymap)
        self.app.bell()
        reason = (
            str(message.error) if isinstance(message.error, DgaalError) else repr(message.error)
        )
        self.app.push_screen(UnsavedDialog(reason, spoken), self._after_unsaved)

    def _after_unsaved(self, decision: str | None) -> None:
        if decision == "quit":
            self.app.exit(8)
            return
        self._is_failed = False
        self._send()
        self.draw()

    def _take_view(self, view: LabelView) -> None:
        is_new_keymap = view.classes != self.view.classes
        self.view = view
        if is_new_keymap:
            self.keymap = make_keymap(view.classes)
        if view.note:
            self.flash(((" · ", theme.DIM), (show(view.note), theme.BASE)))
        self.show_subject(view.subject)

    def _call(self, what: str, work: Callable[[LabelSession], LabelView]) -> None:
        if self.pending or self.busy:
            self.warn("the last answer is still being saved")
            return
        self.busy = what

        def deliver(outcome: Outcome) -> None:
            if isinstance(outcome, LabelView):
                self.post_message(messages.Changed(outcome, what))
            else:
                self.post_message(messages.Refused(outcome, what))

        self.bridge.call(work, deliver)

    def on_changed(self, message: messages.Changed) -> None:
        """Undo, redo, flag, a new class or a new query is in the store."""
        self.busy = ""
        if message.what in ("undo", "redo", "open"):
            self.gate.hide()
        self._flash = ()
        self._take_view(message.view)
        if message.what == "redo" and self.view.state == "answered":
            self.offer_training()

    def on_refused(self, message: messages.Refused) -> None:
        """Say why nothing changed."""
        self.busy = ""
        is_known = isinstance(message.error, DgaalError)
        self.warn(str(message.error) if is_known else repr(message.error), is_bell=True)

    # Commands, by the names of the keymap

    def do_accept(self) -> None:
        """Answer with the visible guess; without an image: go on with the round."""
        subject = self.subject
        if self.view.state != "labeling":
            self.do_train()
        elif subject and subject.predicted is not None and self.scene().is_guess_visible:
            self.answer("label", subject.predicted)
        else:
            self.warn("no guess is shown: press the key of a class", is_bell=True)

    def do_cannot_tell(self) -> None:
        """No class fits."""
        self.answer("cannot_tell")

    def do_skip(self) -> None:
        """Later."""
        self.answer("skip")

    def do_undo(self) -> None:
        """Take the last answer back."""
        self._call("undo", lambda session: session.undo())

    def do_redo(self) -> None:
        """Bring it back."""
        self._call("redo", lambda session: session.redo())

    def do_flag(self) -> None:
        """Mark for a second look."""
        self._call("flag", lambda session: session.flag())

    def do_hints(self) -> None:
        """Show or hide the model's guess."""
        self.are_hints_on = not self.are_hints_on
        has_guess = self.subject is not None and self.subject.predicted is not None
        state = "on" if self.are_hints_on else "off"
        tail = "" if has_guess or not self.are_hints_on else "; there is no guess for this image"
        self.flash(((f" hints {state}; each label records it{tail}", theme.BASE),))

    def do_smooth(self) -> None:
        """The other scaling."""
        self.is_toggled = not self.is_toggled
        self.draw()

    def do_help(self) -> None:
        """Keys."""
        self.app.push_screen(HelpDialog(self.keymap, self.view.classes))

    def do_add(self) -> None:
        """Add a class."""

        def add(name: str | None) -> None:
            if name:
                self._call("add", lambda session: session.add_class(name))

        self.app.push_screen(AddClassDialog(), add)

    def do_search(self) -> None:
        """Answer by a part of a class name."""
        asked = self.subject

        def take(record: ClassRecord | None) -> None:
            if record and asked and self.subject and asked.item_id == self.subject.item_id:
                self.answer("label", record.uid)

        self.app.push_screen(FindClassDialog(self.view.classes), take)

    def do_review(self) -> None:
        """Look at answers again and change them."""
        if self.pending or self.busy:
            self.warn("the last answer is still being saved")
            return

        def back(view: LabelView | None) -> None:
            self.gate.hide()
            if view:
                self._take_view(view)
            self.draw()

        screen = ReviewScreen(self.bridge, self.view, self.keymap, self.settings)
        self.app.push_screen(screen, back)

    def do_train(self) -> None:
        """Finish the round."""
        if self.view.state == "waiting":
            self._call("open", lambda session: session.open())
            return
        if self.view.state != "labeling":
            self.offer_training()
            return
        left = self.view.progress.left

        def go(is_sure: bool | None) -> None:  # noqa: FBT001 - Textual's callback
            if is_sure:
                self.offer_training(is_started=True)

        lines = (
            f"{left} of {self.view.progress.size} images are not answered.",
            "They return to the pool once the new query is there.",
        )
        self.app.push_screen(
            ConfirmDialog("finish the round now?", lines, "train now", "go on labeling"), go
        )

    def do_quit(self) -> None:
        """Leave; an answer in flight is waited for."""
        self.app.exit(0)

    def offer_training(self, *, is_started: bool = False) -> None:
        """Open the training dialog."""
        self.training = TrainingDialog(
            words.round_summary(self.view),
            self._steps(),
            self._make_trainer,
            is_started=is_started,
            clock=self.settings.clock,
        )
        self.app.push_screen(self.training, self._after_training)

    def _steps(self) -> tuple[Step, ...]:
        if self.view.next_step == "query":
            return ("query",)
        is_spent = 0 < self.view.budget <= self.view.spent
        return ("train",) if is_spent else ("train", "query")

    def _make_trainer(
        self, steps: Sequence[Step], on_change: Callable[[TrainingState], None]
    ) -> Trainer:
        return Trainer(
            self.settings.train_command,
            steps,
            before_query=self.bridge.finish_query,
            on_change=on_change,
        )

    def _after_training(self, closing: Closing | None) -> None:
        if closing == "undo":
            self.do_undo()
        else:
            self._call("open", lambda session: session.open())
