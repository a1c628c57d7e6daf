"""Delay the action of a key that may be held until it is known not to be held."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from dgaal_cli.tui.gate import REPEAT_S

if TYPE_CHECKING:
    from textual import timer


class HeldKey:
    """Delays the action of the last key for the keyboard's repeat time."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._timer: timer.Timer | None = None
        self._work: Callable[[], None] = lambda: None

    def hold(self, work: Callable[[], None]) -> None:
        """Run ``work`` later, unless the key is held."""
        self._work = work
        self._timer = self._screen.set_timer(REPEAT_S, self._time_out)

    def release(self) -> None:
        """Run the delayed action: its key is not held."""
        if self.drop():
            self._work()

    def drop(self) -> bool:
        """Drop the delayed action of a held key; return whether there was one."""
        if self._timer is None:
            return False
        self._timer.stop()
        self._timer = None
        return True

    def _time_out(self) -> None:
        # After a delay, repetitions may still be in the queues of the program and of this screen.
        self._screen.app.call_later(self._screen.call_later, self.release)
