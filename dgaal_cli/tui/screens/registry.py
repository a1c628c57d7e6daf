"""The label screen of each task, by the task's name."""

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from dgaal_cli.tui.bridge import LabelView
from dgaal_cli.tui.keymap import Action

SCREENS = {"classification": "dgaal_cli.tui.screens.label:LabelScreen"}
"""Task to ``module:class``: a Textual screen and ``TaskScreen``, constructed with a bridge, the
first view and the settings."""


@runtime_checkable
class TaskScreen(Protocol):
    """Interface of the label screens of all tasks, for app and palette."""

    @property
    def commands(self) -> list[Action]:
        """Commands with their current keys."""
        ...

    @property
    def newest_view(self) -> LabelView:
        """The last view of the session that was shown."""
        ...

    def do(self, name: str) -> None:
        """Run a command by its name."""
        ...

    def painted(self) -> None:
        """Note that a frame has been sent to the terminal."""
        ...

    def release_held(self) -> None:
        """Run the delayed action of a key that may be held, before the program stops."""
        ...

    def stop_processes(self) -> None:
        """Stop all child processes."""
        ...


def load_screen(task: str) -> Any:
    """Import the label screen class of a task."""
    module, _, name = SCREENS[task].partition(":")
    return getattr(import_module(module), name)
