"""The label terminal as a Textual application: start, signals, exit codes."""

import asyncio
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from dgaal_cli.tui import messages
from dgaal_cli.tui.bridge import Bridge, LabelView
from dgaal_cli.tui.mouse import CLICKS_OFF, CLICKS_ON
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.overlay import AnswerScreen
from dgaal_cli.tui.screens.registry import TaskScreen, load_screen
from dgaal_cli.tui.screens.saving import UNSAVED_EXIT, HoldsAnswers
from dgaal_cli.tui.screens.training import TrainingDialog
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.theme import is_light, recolor
from dgaal_cli.tui.widgets.farewell import farewell

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
HUNG_UP = 128 + signal.SIGHUP
STALL_S = 0.02
"""A key event later than this after the key press is checked with the time of the press."""
_LEAVING = ("ctrl+c", "ctrl+q")
WAIT_S = 0.02
"""Interval of checks for an answer that is being saved."""

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.command import Provider
    from textual.driver import Driver


def _label_commands() -> "type[Provider]":
    from dgaal_cli.tui.palette import LabelCommands

    return LabelCommands


class LabelApp(App[int]):
    """Textual application of the label screen."""

    CSS = recolor((Path(__file__).parent / "app.tcss").read_text("utf-8"))
    TITLE = "dgaal label"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {_label_commands}
    ALLOW_SELECT = False
    BINDINGS: ClassVar = [
        Binding("ctrl+c", "interrupt", "leave", priority=True),
        Binding("ctrl+q", "quit", "leave", priority=True),
        Binding("ctrl+z", "suspend_process", "suspend", priority=True),
    ]

    def __init__(self, bridge: Bridge, view: LabelView, settings: Settings) -> None:
        super().__init__()
        if is_light():
            self.theme = "textual-light"  # of Textual's own widgets
        self._bridge = bridge
        self._settings = settings
        screen = load_screen(settings.task)(bridge, view, settings)
        self._first_screen: Screen[None] = screen
        self.label_screen: TaskScreen = screen
        """The label screen, below all dialogs."""
        self._gallery = settings.gallery
        self._first_frame_at: float | None = None
        """``time.monotonic()`` of the first frame; keys pressed before it are ignored."""
        self.has_panicked = False
        """Textual ended after an exception."""

    def get_driver_class(self) -> "type[Driver]":
        """Return Textual's choice; ``SteadyDriver`` on terminals."""
        from textual.drivers.linux_driver import LinuxDriver

        chosen = super().get_driver_class()
        if chosen is LinuxDriver:
            from dgaal_cli.tui.driver import SteadyDriver

            return SteadyDriver
        return chosen

    def panic(self, *renderables: "RenderableType") -> None:
        """Note that the program failed."""
        self.has_panicked = True
        super().panic(*renderables)

    def get_default_screen(self) -> Screen[None]:
        """Return the label screen, so that the first frame shows it."""
        return self._first_screen

    def on_mount(self) -> None:
        """Install signal handlers; connect the gallery to the terminal."""
        if self._gallery is not None:
            self._gallery.connect(self._send)
        loop = asyncio.get_running_loop()
        if not self.is_headless:
            loop.add_signal_handler(signal.SIGINT, partial(self._leave, INTERRUPTED))
            loop.add_signal_handler(signal.SIGTERM, partial(self._leave, TERMINATED))
            loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _send(self, data: str) -> None:
        """Write in order with the frames; thread-safe by the driver's queue."""
        if self._driver is not None:
            self._driver.write(data)

    def post_display_hook(self) -> None:
        """Notify the screens with a gate that a frame has been sent."""
        if self._first_screen.is_mounted:
            self._first_frame_at = self._first_frame_at or time.monotonic()
            self.label_screen.painted()
        if not (self._running and self.screen_stack):
            return
        screen = self.screen
        if screen is not self._first_screen and isinstance(screen, AnswerScreen):
            screen.painted()

    def action_interrupt(self) -> None:
        """Ctrl-C: cancel a training in the open dialog; otherwise leave."""
        screen = self.screen
        if isinstance(screen, TrainingDialog) and screen.is_running_a_process:
            screen.cancel()
        else:
            self._leave(INTERRUPTED)

    def action_suspend_process(self) -> None:
        """Ctrl-Z: suspend the program, unless the configuration assigns this key to a command.

        Then it is a normal key, and does nothing on a screen without that command.
        """
        if "ctrl+z" not in self._settings.keys.chosen():
            self.label_screen.release_held()
            super().action_suspend_process()
        elif on_key := getattr(self.screen, "on_key", None):
            on_key(events.Key("ctrl+z", None))

    async def on_event(self, event: events.Event) -> None:
        """Record the time of each key press for the gates, before screens receive it."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            if self._is_premature(event):
                return
            settings = self._settings
            lag = time.monotonic() - event.time
            at = settings.clock() - (lag if lag > STALL_S else 0.0)
            settings.trail.record(event, key_name(event), at)
        await super().on_event(event)

    def _is_premature(self, event: events.Key) -> bool:
        """Whether a key was typed while the program started: it was meant for nothing on screen."""
        shown_at = self._first_frame_at
        return event.key not in _LEAVING and (shown_at is None or event.time < shown_at)

    async def action_quit(self) -> None:
        """Ctrl-Q."""
        self._leave(0)

    def on_mouse_wanted(self, message: messages.MouseWanted) -> None:
        """Ask the terminal to report clicks, or to keep the mouse for its own selection."""
        self._send(CLICKS_ON if message.is_wanted else CLICKS_OFF)

    def on_leaving(self) -> None:
        """Leave on request of a screen."""
        self._leave(0)

    def _leave(self, code: int, *, has_waited: bool = False) -> None:
        """Exit with ``code``, or with 8 if an answer could not be saved.

        Waits for an answer that is being saved. If saving fails then, the person is asked what to
        do; after a signal the program exits with 8.
        """
        screens = (s for s in self.screen_stack if isinstance(s, HoldsAnswers))
        states = {screen.save_state for screen in screens}
        if "unsaved" in states:
            if not (has_waited and code == 0):
                self.exit(UNSAVED_EXIT)
        elif "saving" in states:
            self.set_timer(WAIT_S, partial(self._leave, code, has_waited=True))
        else:
            self.exit(code)

    def stop_training(self) -> None:
        """Stop all child processes."""
        self.label_screen.stop_processes()

    def _hang_up(self) -> None:
        # The terminal is closed: finish the commit and exit.
        self.stop_training()
        self.label_screen.release_held()
        try:
            self._bridge.close()
        finally:
            os._exit(HUNG_UP)


def run(bridge: Bridge, settings: Settings) -> int:
    """Run the terminal until the operator leaves.

    Args:
        bridge: Connection to the label session, which may be opening.
        settings: Settings of the terminal.

    Returns:
        Exit code: 0, 1 after a bug, 8 with an answer that could not be saved, 130, 143.

    Raises:
        DgaalError: The store cannot be opened.
        StoreChangedError: Answers of the session are no longer in the store.
    """
    try:
        before = bridge.start()
        app = LabelApp(bridge, before, settings)
        _drain_keys()
        code = app.run(mouse=False)
        app.stop_training()
        if app.has_panicked:
            return 1
        if code == 0:
            for text in farewell(before, app.label_screen.newest_view, settings.dgaal):
                settings.say(text)
        return code if code is not None else app.return_code or 0
    finally:
        bridge.close()


def _drain_keys() -> None:
    """Discard keys typed before the first image is shown."""
    import termios

    try:
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    except (OSError, ValueError, termios.error):
        return
