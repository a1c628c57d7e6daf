"""Answers on their way to the store, and what comes back: never "saved" before COMMIT."""

from collections.abc import Callable
from typing import Literal

from textual import timer

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.tui import messages
from dgaal_cli.tui.bridge import (
    AnswerName,
    LabelSession,
    LabelView,
    Outcome,
    Press,
    QueryImage,
    new_op_id,
)
from dgaal_cli.tui.gate import REPEAT_S
from dgaal_cli.tui.keymap import make_keymap, moved_keys
from dgaal_cli.tui.screens.label_base import LabelBase
from dgaal_cli.tui.screens.saving import block_until_saved, reason_of
from dgaal_cli.tui.widgets import words

STILL_SAVING = "the last answer is still being saved"


class LabelAnswers(LabelBase):
    """Sends answers one at a time and shows the next image meanwhile."""

    _held: timer.Timer | None = None
    """Runs while an answer or a command waits to see whether its key is held."""
    _held_do: Callable[[], None]
    _foreseen: ItemId | None = None
    """Image that is shown while the answer to the one before is being saved."""

    def answer(self, kind: AnswerName, uid: ClassUid | None = None) -> None:
        """Send one answer to the store and show the next image meanwhile."""
        image = self.image
        if self.view.state != "labeling" or image is None:
            self.warn("no image to answer")
            return
        if self.is_waiting():
            return
        if kind == "label" and not self.scene_view.has_image:
            self.warn("no image to judge: can't tell, or skip")
            return
        self.pending = Press(
            op_id=new_op_id(),
            kind=kind,
            item_id=image.item_id,
            class_uid=uid,
            elapsed_ms=self.gate.elapsed_ms(),
            ui=self._ui(image),
            is_blind=self.are_hints_on and image.is_blind and image.predicted is not None,
        )
        self.note_time(self.pending.elapsed_ms)
        self.clear_flash()
        if self.gate.may_be_held:
            self.hold(self._send)
        else:
            self._send()
        if self.view.upcoming:
            self._foreseen = self.view.upcoming[0].item_id
            self.show_image(self.view.upcoming[0])
        else:
            self._foreseen = None
            self.draw()

    def hold(self, do: Callable[[], None]) -> None:
        """Do what a key means when it has shown that it is not held."""
        self._held_do = do
        self._held = self.set_timer(REPEAT_S, self._let_go)

    def _let_go(self) -> None:
        # After a stall repetitions may wait in the queues of the program and of this screen.
        self.app.call_later(self.call_later, self.send_held)

    def send_held(self) -> None:
        """Do what waited to see whether its key is held: it is not."""
        if self._held is not None:
            self._held.stop()
            self._held = None
            self._held_do()

    def take_held_back(self) -> None:
        """Drop what a held key would do, which nobody meant; an image answered so comes back."""
        if self._held is not None:
            self._held.stop()
            self._held = None
            if self.pending is not None:
                self.pending = None
                self.show_image(self.view.image)

    def is_waiting(self) -> bool:
        """Whether something is on its way to the store; says so."""
        if self.pending or self.busy:
            self.warn(STILL_SAVING)
            return True
        return False

    def show_image(self, image: QueryImage | None) -> None:
        """Put an image on the screen; answers wait until it is painted."""
        if image is None or self.image is None or image.item_id != self.image.item_id:
            self.gate.hide()
        self.image = image
        self.draw()

    def _ui(self, image: QueryImage) -> Literal["hidden", "top1", "probs"]:
        if not self.scene().is_guess_visible:
            return "hidden"
        return "probs" if image.probabilities else "top1"

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
        self.pending, self.is_failed = None, False
        self.take_view(message.view)
        if self._foreseen not in (None, self._shown_item()):
            self.gate.startle()  # somebody else has it, or has trained
        if self.view.state == "answered":
            self.round_answered()
        else:
            self.query_went_on()

    def on_save_failed(self, message: messages.SaveFailed) -> None:
        """Show the image again, with its answer kept, and let nothing else happen."""
        self.is_failed = True
        self.show_image(self.view.image)
        spoken = words.press_words(message.press, self.view, self.keymap)
        block_until_saved(self, message.error, spoken, clock=self.settings.clock, retry=self._retry)

    def _retry(self) -> None:
        self.is_failed = False
        self._send()
        self.draw()

    def take_view(self, view: LabelView) -> None:
        """Show what the store says, unless newer news came first."""
        if view.serial < self.view.serial:
            return
        old = self.view
        self.view = view
        if view.classes != old.classes:
            self._take_classes()
        if view.note:
            self.tell(view.note)
        self.show_image(view.image)

    def _take_classes(self) -> None:
        """Give new classes keys; where others moved, labeling waits until that was seen."""
        old = self.keymap
        self.keymap = make_keymap(self.view.classes, own=self.settings.keys, known=old.code_of)
        if moved_keys(old, self.keymap):
            from dgaal_cli.tui.screens.help import NewKeysDialog

            self.gate.hide()
            dialog = NewKeysDialog(self.keymap, self.view.classes, clock=self.settings.clock)
            self.app.push_screen(dialog, lambda _: self.look_again())

    def call(self, what: str, work: Callable[[LabelSession], LabelView]) -> None:
        """Ask the store for something other than an answer; answers wait for it."""
        if self.is_waiting():
            return
        self.busy = what

        def deliver(outcome: Outcome) -> None:
            if isinstance(outcome, LabelView):
                self.post_message(messages.Changed(outcome, what))
            else:
                self.post_message(messages.Refused(outcome, what))

        self.bridge.call(work, deliver)

    def call_quietly(self, work: Callable[[LabelSession], LabelView]) -> None:
        """Ask for something that answers need not wait for and that may fail."""

        def deliver(outcome: Outcome) -> None:
            if isinstance(outcome, LabelView):
                self.post_message(messages.Learned(outcome))

        self.bridge.call(work, deliver)

    def on_learned(self, message: messages.Learned) -> None:
        """Take better guesses, unless an answer is under way: its view brings them too."""
        same = self.image and message.view.image
        if not (self.pending or self.busy) and (not same or same.item_id == self._shown_item()):
            self.take_view(message.view)

    def _shown_item(self) -> int:
        return self.image.item_id if self.image else -1

    def on_changed(self, message: messages.Changed) -> None:
        """Undo, redo, flag, a new class or a new query is in the store."""
        self.busy = ""
        if message.what in ("undo", "redo", "open", "next"):
            self.look_again()
        if message.what != "next":  # its news is the flash
            self.clear_flash()
        shown, round_ = self._shown_item(), self.view.round
        self.take_view(message.view)
        is_another_round = message.what in ("undo", "redo") and self.view.round != round_
        is_asked_for = message.what in ("undo", "redo", "open", "more") and not is_another_round
        if shown != self._shown_item() and not is_asked_for:
            self.gate.startle()
        if message.what == "redo" and self.view.state == "answered":
            self.round_answered()
        if message.what in ("open", "next"):
            self.query_opened()

    def on_refused(self, message: messages.Refused) -> None:
        """Say why nothing changed."""
        self.busy = ""
        self.warn(reason_of(message.error), is_bell=True)

    def round_answered(self) -> None:
        """Nothing of the query is left."""
        raise NotImplementedError

    def query_went_on(self) -> None:
        """An answer is saved and images are left."""
        raise NotImplementedError

    def query_opened(self) -> None:
        """Another query may be there."""
