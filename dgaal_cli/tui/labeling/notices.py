"""The notice shown for a moment in place of the last answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from dgaal_cli.escaping import show
from dgaal_cli.tui import theme
from dgaal_cli.tui.widgets.lines import Pieces

if TYPE_CHECKING:
    from textual import timer

FLASH_S = 1.5


class Notices:
    """Shows one notice at a time."""

    def __init__(self, screen: Screen[Any], draw: Callable[[], None]) -> None:
        """Start without a notice; ``draw`` draws the screen after a change."""
        self._screen = screen
        self._draw = draw
        self._timer: timer.Timer | None = None
        self.pieces: Pieces = ()
        """The notice; empty without one."""

    def flash(self, pieces: Pieces, *, seconds: float = FLASH_S) -> None:
        """Show a line for a moment."""
        self.pieces = pieces
        if self._timer:
            self._timer.stop()
        self._timer = self._screen.set_timer(seconds, self._end)
        self._draw()

    def clear(self) -> None:
        """Remove the notice from the next drawing on."""
        self.pieces = ()

    def warn(self, message: str, *, is_bell: bool = False) -> None:
        """Show why an action was refused or failed."""
        if is_bell:
            self._screen.app.bell()
        self.flash(((" ! ", theme.BAD), (show(message), theme.WARN)))

    def inform(self, message: str, *, seconds: float = FLASH_S) -> None:
        """Show an information."""
        self.flash(((" · ", theme.DIM), (show(message), theme.BASE)), seconds=seconds)

    def _end(self) -> None:
        self.clear()
        self._draw()
