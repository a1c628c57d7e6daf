"""Small dialogs over the label screen; text is plain ``Content``, never parsed as markup."""

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from dgaal_cli.escaping import show

Result = TypeVar("Result")

QUIT_GUARD_S = 0.5
"""A key this soon after the dialog changed was meant for what was there before."""


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
    """An answer could not be saved: the one event that stops labeling.

    It comes up under the fingers of somebody who labels on, and ``q`` may be the key of a class:
    leaving takes it twice, and neither the second nor the first counts when it comes at once.
    """

    heading = " NOT SAVED "
    kind = "bad"

    def __init__(
        self, reason: str, answer: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._reason = show(reason)
        self._answer = show(answer)
        self._clock = clock
        self._changed_at = clock()
        self._is_sure = False

    def body(self) -> Sequence[Static]:
        """Reason, what is at stake, keys."""
        return [
            Static(text(("Your last answer is not saved yet: ", "bold"), self._answer)),
            Static(text(self._reason), classes="gap"),
            Static(
                text(("Everything before it is saved. ", ""), "It is kept here until it is."),
                classes="gap",
            ),
            Static(self._keys(), id="keys", classes="gap"),
        ]

    def _keys(self) -> Content:
        cap = "reverse bold"
        drop = " again: lose it and leave" if self._is_sure else " leave without it"
        return text((" ⏎ ", cap), " try again   ", (" q ", cap), drop)

    def on_key(self, event: Key) -> None:
        """Retry, or leave at the second wish."""
        event.stop()
        if event.key == "enter":
            self.dismiss("retry")
        elif event.key != "q" or self._clock() - self._changed_at < QUIT_GUARD_S:
            return
        elif self._is_sure:
            self.dismiss("quit")
        else:
            self._is_sure, self._changed_at = True, self._clock()
            self.query_one("#keys", Static).update(self._keys())


class LogDialog(Dialog[None]):
    """Everything that a process said before it failed, newest at the end."""

    heading = " what it said last "
    kind = "wide"

    def __init__(self, words: str) -> None:
        super().__init__()
        self._lines = [show(entry) for entry in words.splitlines()]

    def body(self) -> Sequence[Static]:
        """The lines, and how to leave."""
        keys = text((" ↑↓ ", "reverse bold"), " scroll   ", (" Esc ", "reverse bold"), " back")
        return [Static(text("\n".join(self._lines))), Static(keys, classes="gap")]

    def on_mount(self) -> None:
        """Begin at the end."""
        self.query_one("#box").scroll_end(animate=False)

    def on_key(self, event: Key) -> None:
        """Scroll, or go back."""
        event.stop()
        box = self.query_one("#box")
        pages = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -10, "pagedown": 10}
        if event.key in pages:
            box.scroll_relative(y=pages[event.key], animate=False)
        elif event.key in ("escape", "q", "l", "enter"):
            self.dismiss()


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
