"""The label screen of each task, by the task's name."""

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from dgaal_cli.tui.keymap import Command

SCREENS = {"classification": "dgaal_cli.tui.screens.label:LabelScreen"}
"""Task to ``module:class``: a Textual screen made of a bridge, the first view and the settings,
which is a ``TaskScreen`` too."""


@runtime_checkable
class TaskScreen(Protocol):
    """What app and palette need of a label screen, whatever a label is."""

    @property
    def commands(self) -> list[Command]:
        """What it can do, with the keys that are live."""
        ...

    def do(self, name: str) -> None:
        """Do a command by its name."""
        ...

    def painted(self) -> None:
        """Note that a frame has gone to the terminal."""
        ...

    def release_held(self) -> None:
        """Do what waits to see whether its key is held, as the program is left or suspended."""
        ...

    def stop_processes(self) -> None:
        """End every process that would outlive its terminal."""
        ...


def load_screen(task: str) -> Any:
    """Import the class of a task's label screen."""
    module, _, name = SCREENS[task].partition(":")
    return getattr(import_module(module), name)
