"""Base classes of the screens over the label screen: bars, class keys, images, saving."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual.screen import Screen

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.actions import ClassKeys, live_actions
from dgaal_cli.tui.bridge import Bridge, LabelSession, LabelView, Outcome
from dgaal_cli.tui.gate import Gate
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.prefetch import Prefetcher
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.bars import action_bar
from dgaal_cli.tui.widgets.lines import Piece, Pieces, line
from dgaal_cli.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from dgaal_cli.tui.widgets.grid_view import GridView
    from dgaal_cli.tui.widgets.image_view import ImageView

Result = TypeVar("Result")


class Overlay(Screen[Result], Generic[Result]):
    """A screen with a status line, a content and a key bar."""

    verb = ""
    """What class keys do; empty without class keys."""

    def __init__(self, kind: str, view: LabelView, keymap: Keymap) -> None:
        super().__init__()
        self.view = view
        self.keymap = keymap
        self.actions = live_actions(kind, keymap)
        self.note = ""

    def draw(self) -> None:
        """Draw everything; unchanged rows are not sent."""
        raise NotImplementedError

    def act(self, name: str) -> None:
        """Run an action by its name."""
        raise NotImplementedError

    def draw_bars(self, left: Pieces, right: Pieces) -> None:
        """Draw the status line and the key bar."""
        status, bar = self.query_one("#status", Rows), self.query_one("#keys-bar", Rows)
        status.show_rows([line(status.size.width, left, right, theme.BAR_BASE)])
        first = [(self.keymap.class_keys(), self.verb)] if self.verb else []
        bar.show_rows([action_bar(self.actions, bar.size.width, first=first)])

    def show_note(self, note: str) -> None:
        """Show a note until the next key."""
        self.note = note
        self.draw()

    def show_help(self) -> None:
        """Show the keys of this screen."""
        from dgaal_cli.tui.screens.help import HelpDialog

        classes = self.view.classes if self.verb else ()
        self.app.push_screen(HelpDialog(self.keymap, classes, self.actions))


class AnswerScreen(Overlay[LabelView]):
    """Shows images and sends answers; dismissed with the newest view."""

    pictures: "type[GridView | ImageView]"
    """Widget of the images."""

    def __init__(
        self, kind: str, bridge: Bridge, view: LabelView, keymap: Keymap, settings: Settings
    ) -> None:
        super().__init__(kind, view, keymap)
        self.bridge = bridge
        self.settings = settings
        self.class_keys = ClassKeys(keymap, settings.clock)
        self.gate = Gate(settings.clock, visible_s=settings.gate_s, is_patient=True)
        self.is_whole = False
        """All images are drawn, or the reason why one cannot be shown."""
        receiver = messages.image_ready_to(self)
        self.prefetcher = Prefetcher(settings.make_reader, receiver, settings.gallery)

    def on_mount(self) -> None:
        """Start decoding."""
        self.prefetcher.start()

    def on_unmount(self) -> None:
        """Stop the image thread."""
        self.prefetcher.stop()

    def painted(self) -> None:
        """Note that a frame was sent; images count as visible when all are drawn."""
        if self.is_current and self.is_whole and self.query_one(self.pictures).is_sent:
            self.gate.paint()

    def prefix_pieces(self) -> tuple[Piece, ...]:
        """Return a notice that the second key of a class is awaited."""
        prefix = self.class_keys.prefix
        return ((f" {prefix}… second key ", theme.BAR_WARN),) if prefix else ()

    def call(
        self,
        work: Callable[[LabelSession], LabelView],
        read: Callable[[LabelSession], Iterable[Any]],
        take: Callable[[Outcome, list[Any]], None],
    ) -> None:
        """Run ``work`` and ``read`` in the session; ``take`` gets the outcome and what was read."""
        found: list[Any] = []

        def run(session: LabelSession) -> LabelView:
            view = work(session)
            found.extend(read(session))
            return view

        self.bridge.call(run, lambda outcome: self.call_later(take, outcome, found))

    def find_class(
        self,
        verb: str,
        side: str,
        take: Callable[[ClassUid], None],
        *,
        marked: Callable[[], object] = lambda: True,
    ) -> None:
        """Ask for a class by its name; ``take`` gets it while the same image is ``marked``."""
        from dgaal_cli.tui.screens.pick_dialogs import FindClassDialog

        before = marked()

        def take_found(record: ClassRecord | None) -> None:
            if record and before and marked() == before:
                take(record.uid)

        self.app.push_screen(FindClassDialog(self.view.classes, verb=verb, side=side), take_found)
