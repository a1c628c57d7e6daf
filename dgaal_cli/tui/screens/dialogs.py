"""Small dialogs over the label screen; text is plain ``Content``, never parsed as markup."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from dgaal_cli.harmless import show

Result = TypeVar("Result")


def text(*parts: str | tuple[str, str]) -> Content:
    """Plain text, or (text, style) pairs; foreign text goes through ``show`` before."""
    return Content.assemble(*parts)


class Dialog(ModalScreen[Result], Generic[Result]):
    """A framed box in the middle of the dimmed screen."""

    heading = ""
    kind = "plain"

    def compose(self) -> ComposeResult:
        """Build the box."""
        box = Vertical(*self.body(), id="box", classes=self.kind)
        box.border_title = Content(self.heading)
        yield box

    def body(self) -> Sequence[Widget]:
        """What is inside the box."""
        raise NotImplementedError


class UnsavedDialog(Dialog[str]):
    """An answer could not be saved: the one event that stops labeling."""

    heading = " NOT SAVED "
    kind = "bad"

    def __init__(self, reason: str, answer: str) -> None:
        super().__init__()
        self._reason = show(reason)
        self._answer = show(answer)

    def body(self) -> Sequence[Static]:
        """Reason, what is at stake, keys."""
        return [
            Static(text(("Your last answer is not saved yet: ", "bold"), self._answer)),
            Static(text(self._reason), classes="gap"),
            Static(
                text(("Everything before it is saved. ", ""), "It is kept here until it is."),
                classes="gap",
            ),
            Static(
                text(
                    (" ⏎ ", "reverse bold"),
                    " try again   ",
                    (" q ", "reverse bold"),
                    " leave without it",
                ),
                classes="gap",
            ),
        ]

    def on_key(self, event: Key) -> None:
        """Retry or leave."""
        event.stop()
        if event.key in ("enter", "r"):
            self.dismiss("retry")
        elif event.key == "q":
            self.dismiss("quit")


class ConfirmDialog(Dialog[bool]):
    """A question with a yes on Enter and a no on Escape."""

    def __init__(self, heading: str, lines: Sequence[str], yes: str, no: str) -> None:
        self.heading = f" {heading} "
        super().__init__()
        self._lines = [show(entry) for entry in lines]
        self._yes = yes
        self._no = no

    def body(self) -> Sequence[Static]:
        """The question and its keys."""
        return [
            *(Static(text(entry)) for entry in self._lines),
            Static(
                text(
                    (" ⏎ ", "reverse bold"),
                    f" {self._yes}   ",
                    (" Esc ", "reverse bold"),
                    f" {self._no}",
                ),
                classes="gap",
            ),
        ]

    def on_key(self, event: Key) -> None:
        """Answer the question."""
        event.stop()
        if event.key == "enter":
            self.dismiss(True)  # noqa: FBT003 - Textual's signature
        elif event.key in ("escape", "q", "n"):
            self.dismiss(False)  # noqa: FBT003
