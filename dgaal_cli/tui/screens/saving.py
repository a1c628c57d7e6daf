"""Shared by the screens with answers: block while an answer is not saved."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from textual.screen import Screen

from dgaal_cli.errors import DgaalError, StoreChangedError
from dgaal_cli.tui.screens.dialogs import ConfirmDialog, UnsavedDialog
from dgaal_cli.tui.widgets.scene import SaveState

UNSAVED_EXIT = 8


@runtime_checkable
class HoldsAnswers(Protocol):
    """A screen that may have unsaved answers."""

    @property
    def save_state(self) -> SaveState:
        """Save state of its answers."""
        ...


def reason_of(error: Exception) -> str:
    """Return an exception as a message for the operator."""
    return str(error) if isinstance(error, DgaalError) else repr(error)


def block_until_saved(
    screen: Screen[Any],
    error: Exception,
    answer: str,
    *,
    clock: Callable[[], float],
    retry: Callable[[], None],
) -> None:
    """Block until ``answer`` is saved or the operator drops it and leaves."""

    def decide(decision: str | None) -> None:
        if decision == "quit":
            screen.app.exit(UNSAVED_EXIT)
        else:
            retry()

    screen.app.bell()
    screen.app.push_screen(UnsavedDialog(reason_of(error), answer, clock), decide)


def show_failure(screen: Screen[Any], error: Exception, notify: Callable[[str], object]) -> None:
    """Show the error of a call that is not an answer; a changed store needs a dialog."""
    if not isinstance(error, StoreChangedError):
        notify(reason_of(error))
        return

    def decide(is_leaving: bool | None) -> None:  # noqa: FBT001 - Textual's signature
        if is_leaving:
            screen.app.exit(error.exit_code)

    screen.app.bell()
    heading = "THE LABEL STORE WAS CHANGED"
    screen.app.push_screen(ConfirmDialog(heading, [str(error)], "leave", "back"), decide)
