"""The label screen: one image, one key, saved, next."""

from functools import partial
from typing import TYPE_CHECKING

from textual import events, timer

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui import messages
from dgaal_cli.tui.bridge import Bridge, LabelSession, LabelView, Outcome, RoundsReport
from dgaal_cli.tui.gate import Verdict
from dgaal_cli.tui.grid import GridMemory
from dgaal_cli.tui.keymap import CODE_S
from dgaal_cli.tui.outside import open_outside
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.label_rounds import LabelRounds
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets import words

if TYPE_CHECKING:
    from dgaal_cli.tui.screens.rounds import Choice

_ANSWERS = ("accept", "cannot_tell", "skip")
_TWICE = ("undo", "redo", "flag")
"""Commands that do more, or the contrary, the second time."""


class LabelScreen(LabelRounds):
    """Judges keys and does what they mean."""

    def __init__(self, bridge: Bridge, view: LabelView, settings: Settings) -> None:
        super().__init__(bridge, view, settings)
        self._code_timer: timer.Timer | None = None
        self._grid_memory = GridMemory()
        self._is_prepared = False

    def on_mount(self) -> None:
        """Say what was resumed; offer the next round where nothing is left."""
        count = len(self.view.history)
        if count and self.view.image:
            self.flash(words.resumed(count), seconds=4)
        elif self.settings.advice:
            self.tell(self.settings.advice, seconds=6)
        if self.settings.is_review_first:
            self.call_after_refresh(self.do_review)
        elif self.view.state == "answered":
            self.call_after_refresh(self.offer_training)

    def painted(self) -> None:
        """Note that a frame has gone to the terminal; what the first frame need not wait for."""
        super().painted()
        if not self._is_prepared:
            self._is_prepared = True
            self.prepare_learner()

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
        guess = self.scene().guess if name == "accept" else None
        press = self.settings.trail.press_of(event)
        verdict = self.gate.judge(key, is_answer=is_answer, guess=guess, press=press)
        if verdict is Verdict.REPEATED:
            self.take_held_back()
        else:
            self.send_held()
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
        elif name in _TWICE and self.gate.may_be_held:
            self.hold(lambda: self.do(name))
        elif name:
            self.do(name)

    def do(self, name: str) -> None:
        """Do a command by its name in the keymap."""
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

    # Commands, by the names of the keymap

    def do_accept(self) -> None:
        """Answer with the visible guess; without an image: go on with the round."""
        if self.view.state != "labeling":
            self.do_train()
        elif guess := self.scene().guess:
            self.answer("label", guess[1])
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
        self.call("undo", lambda session: session.undo())

    def do_redo(self) -> None:
        """Bring it back."""
        self.call("redo", lambda session: session.redo())

    def do_flag(self) -> None:
        """Mark for a second look."""
        self.call("flag", lambda session: session.flag())

    def do_hints(self) -> None:
        """Show or hide the model's guess."""
        self.are_hints_on = not self.are_hints_on
        has_guess = self.image is not None and self.image.predicted is not None
        state = "on" if self.are_hints_on else "off"
        tail = "" if has_guess or not self.are_hints_on else "; there is no guess for this image"
        self.tell(f"hints {state}; each label records it{tail}")

    def do_learner(self) -> None:
        """Guesses that learn within the round, or those that came with the query."""
        self.call("learner", lambda session: session.toggle_learner())

    def do_smooth(self) -> None:
        """The other scaling."""
        self.is_toggled = not self.is_toggled
        self.draw()

    def do_outside(self) -> None:
        """Open the image in the desktop's viewer."""
        if self.image is None:
            self.warn("no image to open")
        else:

            def deliver(path: str) -> None:
                self.post_message(messages.FileFound(path))

            self.scene_view.fetch_file(self.image, deliver)

    def on_file_found(self, message: messages.FileFound) -> None:
        """Open it, or say where it lies."""
        self.tell(open_outside(message.path), seconds=4)

    def do_help(self) -> None:
        """Keys."""
        from dgaal_cli.tui.screens.help import HelpDialog

        self.app.push_screen(HelpDialog(self.keymap, self.view.classes))

    def do_add(self) -> None:
        """Add a class."""
        from dgaal_cli.tui.screens.pick_dialogs import AddClassDialog

        def add(name: str | None) -> None:
            if name:
                self.call("add", lambda session: session.add_class(name))

        self.app.push_screen(AddClassDialog(), add)

    def do_search(self) -> None:
        """Answer by a part of a class name."""
        from dgaal_cli.tui.screens.pick_dialogs import FindClassDialog

        asked = self.image

        def take(record: ClassRecord | None) -> None:
            if record and asked and self.image and asked.item_id == self.image.item_id:
                self.answer("label", record.uid)

        self.app.push_screen(FindClassDialog(self.view.classes), take)

    def do_review(self) -> None:
        """Look at answers again and change them."""
        from dgaal_cli.tui.screens.review import ReviewScreen

        if not self.is_waiting():
            screen = ReviewScreen(self.bridge, self.view, self.keymap, self.settings)
            self.app.push_screen(screen, self._back)

    def do_grid(self) -> None:
        """Confirm guesses by the page."""
        from dgaal_cli.tui.screens.grid import GridScreen

        if self.view.state != "labeling":
            self.warn("no image to confirm")
        elif not self.is_waiting():
            screen = GridScreen(
                self.bridge, self.view, self.keymap, self.settings, self._grid_memory
            )
            self.app.push_screen(screen, self._back)

    def _back(self, view: LabelView | None) -> None:
        self.look_again()
        if view:
            self.take_view(view)
        self.draw()
        if self.view.state == "answered":
            self.round_answered()

    def do_rounds(self) -> None:
        """The rounds so far, and what comes next."""
        if self.is_waiting():
            return
        self.busy = "rounds"
        found: list[RoundsReport] = []

        def read(session: LabelSession) -> LabelView:
            found.append(session.report())
            return session.view()

        def deliver(outcome: Outcome) -> None:
            if isinstance(outcome, LabelView):
                self.post_message(messages.Reported(outcome, found[0]))
            else:
                self.post_message(messages.Refused(outcome, "rounds"))

        self.bridge.call(read, deliver)

    def on_reported(self, message: messages.Reported) -> None:
        """Show the rounds."""
        from dgaal_cli.tui.screens.rounds import RoundsScreen

        self.busy = ""
        self.take_view(message.view)
        screen = RoundsScreen(self.view, message.report, self.keymap, is_training=self.is_training)
        self.app.push_screen(screen, self._after_rounds)

    def _after_rounds(self, choice: "Choice | None") -> None:
        self.look_again()
        self.draw()
        if choice is None or choice.kind == "label":
            return
        if choice.kind == "set":
            self.call("set", lambda session: session.set_config(choice.values))
            self.call_after_refresh(self._rounds_again)
        elif choice.kind == "synthesize":
            steps = self.next_steps(synthetic=choice.count)
            if self.view.state == "labeling":
                self.confirm_finish(steps)
            else:
                self.offer_training(is_started=True, steps=steps)
        elif choice.kind == "export":
            self.export_now()
        else:
            self.do(choice.kind)

    def _rounds_again(self) -> None:
        """Show the rounds with what was just set, once it is set."""
        if self.busy:
            self.set_timer(0.05, partial(self._rounds_again))
        else:
            self.do_rounds()
