"""What the label screen is made of and how it draws; what keys do is in ``label.py``."""

import statistics

from textual import events, timer
from textual.app import ComposeResult
from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Static

from dgaal_cli.escaping import show
from dgaal_cli.tui import theme
from dgaal_cli.tui.actions import check_screen_keys
from dgaal_cli.tui.bridge import Bridge, LabelView, Press, QueryImage
from dgaal_cli.tui.gate import Gate
from dgaal_cli.tui.keymap import make_keymap
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.bars import SaveState
from dgaal_cli.tui.widgets.lines import Pieces
from dgaal_cli.tui.widgets.rows import blank
from dgaal_cli.tui.widgets.scene_view import Scene, SceneView

MIN_SIZE = (40, 12)
FLASH_S = 1.5
REST_S = 25 * 60
"""After so long without a pause the status line suggests one,"""
PAUSE_S = 3 * 60
"""which this long without an answer is;"""
SLOWER = 1.5
"""or when answers take this much longer than the first ``STEADY`` did."""
STEADY = 50
RECENT = 30


class LabelBase(Screen[None]):
    """State and drawing."""

    def __init__(self, bridge: Bridge, view: LabelView, settings: Settings) -> None:
        super().__init__()
        self.bridge = bridge
        self.view = view
        self.settings = settings
        check_screen_keys(settings.keys)
        self.keymap = make_keymap(view.classes, own=settings.keys)
        self.gate = Gate(settings.clock, visible_s=settings.gate_s)
        self.image: QueryImage | None = view.image
        self.pending: Press | None = None
        """The one answer that is not saved yet."""
        self.busy = ""
        """Another call under way: undo, redo, flag."""
        self.is_failed = False
        """The pending answer could not be saved."""
        self.are_hints_on = settings.hints
        self.is_toggled = False
        self.prefix = ""
        self.background = ""
        """What goes on beside labeling, for the first line."""
        self._flash: Pieces = ()
        self._flash_timer: timer.Timer | None = None
        self._rest_from = settings.clock()
        self._last_answer_at = self._rest_from
        self._times: list[int] = []
        self.scene_view = SceneView(
            self.scene(), settings.mode, settings.make_reader, settings.gallery
        )

    def compose(self) -> ComposeResult:
        """The scene, and a word for terminals that are too small for it."""
        yield self.scene_view
        yield Static("", id="too-small", markup=False)

    def on_resize(self, event: events.Resize) -> None:
        """Hide the scene where it does not fit; no answer counts then."""
        width, height = event.size
        is_too_small = width < MIN_SIZE[0] or height < MIN_SIZE[1]
        self.set_class(is_too_small, "-too-small")
        if is_too_small:
            self.gate.hide()
            note = f"{width}x{height} is too small for an image and its keys:\n"
            note += f"make it {MIN_SIZE[0]}x{MIN_SIZE[1]}"
            self.query_one("#too-small", Static).update(note)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return empty rows: the scene covers them, and Textual asks for them with every frame."""
        if any(not isinstance(each, ANSIToTruecolor) for each in self.get_line_filters()):
            return super().render_lines(crop)
        return [blank(crop.width)] * crop.height

    def scene(self) -> Scene:
        """What is to be seen now."""
        return Scene(
            view=self.view,
            image=self.image,
            keymap=self.keymap,
            save_state=self.save_state,
            pending=self.pending,
            flash=self._flash,
            prefix=self.prefix,
            are_hints_on=self.are_hints_on,
            is_toggled=self.is_toggled,
            is_rest_due=self.is_rest_due,
            background=self.background,
        )

    def draw(self) -> None:
        """Draw everything; rows that did not change are not sent."""
        self.scene_view.show(self.scene())

    def painted(self) -> None:
        """Note that a frame has gone to the terminal."""
        self.scene_view.start_loading()
        is_whole = self.is_current and not self.has_class("-too-small")
        if is_whole and self.scene_view.is_judgeable:
            self.gate.paint()
        elif is_whole:
            self.gate.hide()  # as after a resize: the image has to be drawn anew
        if is_whole and self.scene_view.is_panel_sent:
            self.gate.paint_guess(self.scene_view.drawn_guess)

    def look_again(self) -> None:
        """Take no answer until the image has gone out once more."""
        self.gate.hide()
        self.scene_view.send_again()

    @property
    def save_state(self) -> SaveState:
        """What the first line says about the disk."""
        if self.is_failed:
            return "unsaved"
        return "saving" if self.pending or self.busy else "saved"

    @property
    def is_rest_due(self) -> bool:
        """Whether a break would do good."""
        if self.settings.clock() - self._rest_from > REST_S:
            return True
        if len(self._times) < STEADY + RECENT:
            return False
        first = statistics.median(self._times[:STEADY])
        return statistics.median(self._times[-RECENT:]) > SLOWER * first

    def note_time(self, elapsed_ms: int | None) -> None:
        """Note how long an answer took; a long pause was a rest."""
        now = self.settings.clock()
        if now - self._last_answer_at > PAUSE_S:
            self._rest_from, self._times = now, []
        self._last_answer_at = now
        if elapsed_ms is not None:
            self._times.append(elapsed_ms)

    def flash(self, pieces: Pieces, *, seconds: float = FLASH_S) -> None:
        """Show a line in place of the last answer for a moment."""
        self._flash = pieces
        if self._flash_timer:
            self._flash_timer.stop()
        self._flash_timer = self.set_timer(seconds, self._end_flash)
        self.draw()

    def clear_flash(self) -> None:
        """Show the last answer again."""
        self._flash = ()

    def warn(self, message: str, *, is_bell: bool = False) -> None:
        """Show why a key did nothing."""
        if is_bell:
            self.app.bell()
        self.flash(((" ! ", theme.BAD), (show(message), theme.WARN)))

    def tell(self, message: str, *, seconds: float = FLASH_S) -> None:
        """Show what happened."""
        self.flash(((" · ", theme.DIM), (show(message), theme.BASE)), seconds=seconds)

    def _end_flash(self) -> None:
        self._flash = ()
        self.draw()
