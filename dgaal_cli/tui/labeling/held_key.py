"""A key that may be held does its work only when it has shown that it is not."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from dgaal_cli.tui.gate import REPEAT_S

if TYPE_CHECKING:
    from textual import timer


class HeldKey:
    """Keeps what the last key means until the keyboard would have repeated it."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._timer: timer.Timer | None = None
        self._work: Callable[[], None] = lambda: None

    def hold(self, work: Callable[[], None]) -> None:
        """Do ``work`` unless the key turns out to be held."""
        self._work = work
        self._timer = self._screen.set_timer(REPEAT_S, self._time_out)

    def release(self) -> None:
        """Do what waits: its key is not held."""
        if self._stop():
            self._work()

    def drop(self) -> bool:
        """Forget what waits, as its key is held and nobody meant it; tell whether there was any."""
        return self._stop()

    def _stop(self) -> bool:
        if self._timer is None:
            return False
        self._timer.stop()
        self._timer = None
        return True

    def _time_out(self) -> None:
        # After a stall repetitions may wait in the queues of the program and of this screen.
        self._screen.app.call_later(self._screen.call_later, self.release)
