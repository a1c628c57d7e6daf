"""What every screen with answers shares: they stay on the screen until COMMIT has returned."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from textual.screen import Screen

from dgaal_cli.errors import DgaalError
from dgaal_cli.tui import messages
from dgaal_cli.tui.screens.dialogs import UnsavedDialog
from dgaal_cli.tui.widgets.bars import SaveState

UNSAVED_EXIT = 8


@runtime_checkable
class HoldsAnswers(Protocol):
    """A screen that may hold answers that are not saved."""

    @property
    def save_state(self) -> SaveState:
        """What it holds."""
        ...


def reason_of(error: Exception) -> str:
    """Why something failed, in words for the operator."""
    return str(error) if isinstance(error, DgaalError) else repr(error)


def block_until_saved(
    screen: Screen[Any],
    error: Exception,
    words: str,
    *,
    clock: Callable[[], float],
    retry: Callable[[], None],
) -> None:
    """Let nothing else happen until ``words`` is saved, or the operator gives it up."""

    def decide(decision: str | None) -> None:
        if decision == "quit":
            screen.app.exit(UNSAVED_EXIT)
        else:
            retry()

    screen.app.bell()
    screen.app.push_screen(UnsavedDialog(reason_of(error), words, clock), decide)


def leave(screen: Screen[Any], code: int = 0) -> None:
    """End the program as soon as every answer is saved."""
    screen.post_message(messages.Leaving(code))
