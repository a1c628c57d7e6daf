"""The label screen: it maps keys and events to its parts."""

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import events, timer
from textual.app import ComposeResult
from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Static

from dgaal_cli.ids import ClassUid
from dgaal_cli.tui import messages
from dgaal_cli.tui.actions import check_screen_keys
from dgaal_cli.tui.bridge import Bridge, LabelView
from dgaal_cli.tui.gate import Verdict
from dgaal_cli.tui.keymap import CODE_S, Action
from dgaal_cli.tui.labeling.answers import Answers
from dgaal_cli.tui.labeling.neighbors import Neighbors
from dgaal_cli.tui.labeling.notices import Notices
from dgaal_cli.tui.labeling.other_screens import OtherScreens
from dgaal_cli.tui.labeling.rounds import Rounds
from dgaal_cli.tui.labeling.shown_image import ShownImage
from dgaal_cli.tui.render.look import Look
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets import captions
from dgaal_cli.tui.widgets.rows import blank
from dgaal_cli.tui.widgets.scene import SaveState, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_SIZE = (40, 12)
_ANSWERS = ("accept", "cannot_tell", "skip")
_MAY_REPEAT = ("pan_left", "pan_right", "pan_up", "pan_down")
_TWICE = ("undo", "redo", "flag")
"""Commands that must not be repeated by a held key."""


class LabelScreen(Screen[None]):
    """Label screen of classification."""

    def __init__(self, bridge: Bridge, view: LabelView, settings: Settings) -> None:
        super().__init__()
        check_screen_keys(settings.keys)
        self.settings = settings
        self.prefix = ""
        """The first key of a two-key code, until the second key or a timeout."""
        self._prefix_timer: timer.Timer | None = None
        self._is_prepared = False
        self.shown = shown = ShownImage(self, view, settings, self._scene)
        self.notices = notices = Notices(self, shown.draw)
        self.answers = answers = Answers(self, bridge, settings, shown, notices)
        self.neighbors = Neighbors(self, bridge, shown)
        others = OtherScreens(answers, self.neighbors)
        self.rounds = rounds = Rounds(answers, review=others.review)
        answers.on_progress = rounds.progressed
        self._commands: dict[str, Callable[[], None]] = {
            "accept": self._accept,
            "cannot_tell": lambda: answers.give("cannot_tell"),
            "skip": lambda: answers.give("skip"),
            "undo": lambda: answers.call("undo", lambda session: session.undo()),
            "redo": lambda: answers.call("redo", lambda session: session.redo()),
            "flag": lambda: answers.call("flag", lambda session: session.flag()),
            "learner": lambda: answers.call("learner", lambda session: session.toggle_learner()),
            "hints": self._toggle_hints,
            "alone": shown.toggle_alone,
            **self._viewing(),
            "outside": others.open_file,
            "details": others.details,
            "help": others.help,
            "add": others.add_class,
            "search": others.find_class,
            "review": others.review,
            "grid": others.grid,
            "burst": others.burst,
            "rounds": lambda: others.rounds(rounds, self.do),
            "train": rounds.finish,
            "quit": rounds.quit,
        }

    @property
    def save_state(self) -> SaveState:
        """Save state for the status line."""
        return self.answers.save_state

    def _scene(self) -> Scene:
        """Return the current content."""
        shown, answers = self.shown, self.answers
        return Scene(
            view=shown.view,
            image=shown.image,
            keymap=shown.keymap,
            save_state=answers.save_state,
            pending=answers.pending,
            flash=self.notices.pieces,
            prefix=self.prefix,
            are_hints_on=shown.are_hints_on,
            look=shown.look,
            is_alone=shown.is_alone and not shown.is_finding,
            is_finding=shown.is_finding,
            neighbors=self.neighbors.beside,
            background=self.rounds.background,
        )

    @property
    def commands(self) -> list[Action]:
        """Commands of the screen with their current keys."""
        return self.shown.keymap.live_commands()

    @property
    def newest_view(self) -> LabelView:
        """The last view of the session that was shown."""
        return self.shown.view

    def release_held(self) -> None:
        """Run the delayed action of a key that may be held."""
        self.answers.held.release()

    def stop_processes(self) -> None:
        """Stop all child processes."""
        self.rounds.stop_processes()

    # Layout and frames

    def compose(self) -> ComposeResult:
        """Create the scene, and the message for terminals that are too small."""
        yield self.shown.scene_view
        yield Static("", id="too-small", markup=False)

    def on_mount(self) -> None:
        """Show that answers were resumed; offer the next round if no image is left."""
        view, settings = self.shown.view, self.settings
        if view.history and view.image:
            self.notices.flash(captions.resumed(len(view.history)), seconds=4)
        elif view.note:
            self.notices.inform(view.note, seconds=6)
        elif settings.advice:
            self.notices.inform(settings.advice, seconds=6)
        if settings.is_review_first:
            self.call_after_refresh(self.do, "review")
        elif view.state == "answered":
            self.call_after_refresh(self.rounds.offer_training)

    def on_resize(self, event: events.Resize) -> None:
        """Hide the scene if it does not fit; answers are refused then."""
        width, height = event.size
        is_too_small = width < MIN_SIZE[0] or height < MIN_SIZE[1]
        self.set_class(is_too_small, "-too-small")
        if is_too_small:
            self.shown.gate.hide()
            note = f"{width}x{height} is too small for an image and its keys:\n"
            note += f"make it {MIN_SIZE[0]}x{MIN_SIZE[1]}"
            self.query_one("#too-small", Static).update(note)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return empty rows, which Textual reads for each frame; the scene covers them."""
        if any(not isinstance(each, ANSIToTruecolor) for each in self.get_line_filters()):
            return super().render_lines(crop)
        return [blank(crop.width)] * crop.height

    def painted(self) -> None:
        """Note that a frame has been sent; after the first one, load the learner."""
        self.shown.painted()
        if self.is_current and self.shown.scene_view.is_answerable:
            self.neighbors.update()
        if not self._is_prepared:
            self._is_prepared = True
            self.rounds.prepare_learner()

    def on_training_update(self, message: messages.TrainingUpdate) -> None:
        """Handle an update of the training."""
        self.rounds.follow(message.state)

    # Keys

    def on_key(self, event: events.Key) -> None:
        """Check a key with the gate and run its command or answer."""
        event.stop()
        key, shown = key_name(event), self.shown
        if key == "escape":
            shown.gate.note_escape()
            self._set_prefix("")
            return
        uid = shown.keymap.codes.get(self.prefix + key)
        command = shown.keymap.commands.get(key)
        name = command.name if command and not self.prefix else ""
        is_answer = shown.view.state == "labeling" and (uid is not None or name in _ANSWERS)
        guess = shown.scene.guess if name == "accept" else None
        press = self.settings.trail.press_of(event)
        verdict = shown.gate.judge(key, is_answer=is_answer, guess=guess, press=press)
        if verdict is Verdict.REPEATED and name in _MAY_REPEAT:
            verdict = Verdict.ACCEPTED
        if verdict is Verdict.REPEATED:
            self.answers.drop_held()
        else:
            self.answers.held.release()
        if verdict is not Verdict.ACCEPTED:
            if name or uid or shown.keymap.starts_code(key):
                self.notices.warn(verdict.value)
        elif self.has_class("-too-small"):
            if name == "quit":
                self.do(name)
        else:
            self._act(key, uid, name)

    def on_paste(self, event: events.Paste) -> None:
        """Ignore pasted text: it is never an answer."""
        event.stop()
        self.notices.warn("pasted text is ignored")

    def do(self, name: str) -> None:
        """Run a command by its name in the keymap."""
        self._commands[name]()

    def _act(self, key: str, uid: ClassUid | None, name: str) -> None:
        if uid is not None:
            self._set_prefix("")
            self.answers.give("label", uid)
        elif self.prefix:
            if key != "backspace":
                self.notices.warn(f"no class has the keys {self.prefix}{key}")
            self._set_prefix("")
        elif self.shown.keymap.starts_code(key) and self.shown.view.state == "labeling":
            self._set_prefix(key)
        elif name in _TWICE and self.shown.gate.may_be_held:
            self.answers.held.hold(lambda: self.do(name))
        elif name:
            self.do(name)

    def _set_prefix(self, prefix: str) -> None:
        if self._prefix_timer:
            self._prefix_timer.stop()
            self._prefix_timer = None
        if prefix != self.prefix:
            self.prefix = prefix
            self.shown.draw()
        if prefix:
            self._prefix_timer = self.set_timer(CODE_S, lambda: self._set_prefix(""))

    def _viewing(self) -> "dict[str, Callable[[], None]]":
        """Return the commands that draw the same image in another way."""
        shown, view = self.shown, self.shown.scene_view

        def look(change: "Callable[[Look], Look]") -> None:
            shown.look_at(change(shown.look))

        def pan(right: int, down: int) -> None:
            if not shown.look.zoom:
                self.notices.inform(f"zoom first: {captions.key_of(shown.keymap, 'zoom_in')}")
            elif size := view.image_size:
                room = view.image_room
                look(lambda now: now.panned(right, down, size=size, room=room))

        return {
            "smooth": lambda: look(lambda now: replace(now, is_toggled=not now.is_toggled)),
            "glyphs": self._compare_glyphs,
            "zoom_in": lambda: look(lambda now: now.zoomed(1)),
            "zoom_out": lambda: look(lambda now: now.zoomed(-1)),
            "pan_left": lambda: pan(-1, 0),
            "pan_right": lambda: pan(1, 0),
            "pan_up": lambda: pan(0, -1),
            "pan_down": lambda: pan(0, 1),
            "brighter": lambda: look(lambda now: now.brighter(1)),
            "darker": lambda: look(lambda now: now.brighter(-1)),
            "contrast": lambda: look(lambda now: now.with_contrast(1)),
            "flatter": lambda: look(lambda now: now.with_contrast(-1)),
            "invert": lambda: look(lambda now: replace(now, is_inverted=not now.is_inverted)),
            "equalize": lambda: look(lambda now: replace(now, is_equalized=not now.is_equalized)),
            "as_it_is": lambda: look(lambda now: Look(glyphs=now.glyphs)),
        }

    def _compare_glyphs(self) -> None:
        """Draw the image with the next kind of glyphs."""
        glyphs = self.shown.look.glyphs.following()
        self.shown.look_at(replace(self.shown.look, glyphs=glyphs))
        width, height = glyphs.grid
        text = f"{glyphs}: {width} x {height} pixels a cell; to keep it: label.glyphs = '{glyphs}'"
        self.notices.inform(text, seconds=4)

    def _accept(self) -> None:
        """Answer with the visible guess; without an image, continue with the next step."""
        if self.shown.view.state != "labeling":
            self.do("train")
        elif guess := self.shown.scene.guess:
            self.answers.give("label", guess[1])
        else:
            self.notices.warn("no guess is shown: press the key of a class", is_bell=True)

    def _toggle_hints(self) -> None:
        """Show or hide the model's guess."""
        shown = self.shown
        shown.are_hints_on = not shown.are_hints_on
        has_guess = shown.image is not None and shown.image.predicted is not None
        state = "on" if shown.are_hints_on else "off"
        hint = "" if has_guess or not shown.are_hints_on else "; this image has no guess"
        keep = f"; for every session: label.hints = {'true' if shown.are_hints_on else 'false'}"
        text = f"hints {state}; each label records it{hint or keep}"
        self.notices.inform(text, seconds=3)
