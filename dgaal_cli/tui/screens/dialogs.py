"""Small dialogs over the label screen; text is plain ``Content``, never parsed as markup."""

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
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.theme import recolor

Result = TypeVar("Result")

QUIT_GUARD_S = 0.5
"""Keys within this time after a change of the dialog are ignored: they were meant for before."""


def text(*parts: str | tuple[str, str]) -> Content:
    """Join plain text and (text, style) pairs; untrusted text must pass ``show`` first."""
    return Content.assemble(
        *(part if isinstance(part, str) else (part[0], recolor(part[1])) for part in parts)
    )


def keys_line(*entries: tuple[str, str]) -> Content:
    """Return keys and what they do, on one line."""
    return Content("   ").join(
        Content.assemble((f" {key} ", "reverse bold"), f" {action}") for key, action in entries
    )


class Dialog(ModalScreen[Result], Generic[Result]):
    """A framed box in the middle of the dimmed screen."""

    heading = ""
    kind = "plain"

    def compose(self) -> ComposeResult:
        """Create the box."""
        box = Vertical(*self.body(), id="box", classes=self.kind)
        box.border_title = Content(self.heading)
        yield box

    def body(self) -> Sequence[Widget]:
        """Return the content of the box."""
        raise NotImplementedError

    def action_leave(self) -> None:
        """Close without a result."""
        self.dismiss(None)


class UnsavedDialog(Dialog[str]):
    """An answer could not be saved: the only event that blocks labeling.

    It appears while a person is typing, and ``q`` may be the key of a class. So leaving needs ``q``
    twice, and each is ignored shortly after a change of the dialog.
    """

    heading = " NOT SAVED "
    kind = "bad"

    def __init__(self, reason: str, answer: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self._reason = show(reason)
        self._answer = show(answer)
        self._clock = clock
        self._changed_at = clock()
        self._is_sure = False

    def body(self) -> Sequence[Static]:
        """Create answer, reason and keys."""
        return [
            Static(text(("Your last answer is not saved yet: ", "bold"), self._answer)),
            Static(text(self._reason), classes="gap"),
            Static("This terminal keeps it until it is saved or you leave.", classes="gap"),
            Static(self._keys(), id="keys", classes="gap"),
        ]

    def _keys(self) -> Content:
        drop = "again: drop it and leave" if self._is_sure else "leave without it"
        return keys_line(("⏎", "try again"), ("q", drop))

    def on_key(self, event: Key) -> None:
        """Retry, or leave at the second ``q``."""
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


class PageDialog(Dialog[None]):
    """A dialog that may be longer than the screen: it scrolls, and its keys stay visible."""

    kind = "wide"

    def on_key(self, event: Key) -> None:
        """Scroll, or go back."""
        event.stop()
        box = self.query_one("#box")
        key = key_name(event)
        page = max(1, box.scrollable_content_region.height - 1)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        steps |= {"space": page, "b": -page, "home": -box.virtual_size.height}
        steps["end"] = box.virtual_size.height
        if key in steps:
            target = min(max(0, box.scroll_offset.y + steps[key]), box.max_scroll_y)
            box.scroll_to(y=target, animate=False)
        elif key in self.leave_keys:
            self.action_leave()

    leave_keys: Sequence[str] = ("escape", "q", "enter")

    def keys(self, *entries: tuple[str, str]) -> Static:
        """Return the line of keys, which stays at the bottom of the dialog."""
        return Static(keys_line(("↑↓", "scroll"), *entries), id="keys")


class LogDialog(PageDialog):
    """Output of a failed process, newest at the end."""

    heading = " last output "
    leave_keys = ("escape", "q", "l", "enter")

    def __init__(self, log: str) -> None:
        super().__init__()
        self._lines = [show(entry) for entry in log.splitlines()]

    def body(self) -> Sequence[Static]:
        """Create the lines and the keys."""
        return [Static(text("\n".join(self._lines))), self.keys(("Esc", "back"))]

    def on_mount(self) -> None:
        """Scroll to the end."""
        self.query_one("#box").scroll_end(animate=False)


class ConfirmDialog(Dialog[bool]):
    """A question; Enter means yes, Escape means no."""

    def __init__(self, heading: str, lines: Sequence[str], yes: str, no: str) -> None:
        self.heading = f" {heading} "
        super().__init__()
        self._lines = [show(entry) for entry in lines]
        self._yes = yes
        self._no = no

    def body(self) -> Sequence[Static]:
        """Create the question and its keys."""
        return [
            *(Static(text(entry)) for entry in self._lines),
            Static(keys_line(("⏎", self._yes), ("Esc", self._no)), classes="gap"),
        ]

    def on_key(self, event: Key) -> None:
        """Answer the question."""
        event.stop()
        if event.key == "enter":
            self.dismiss(True)  # noqa: FBT003 - Textual's signature
        elif event.key in ("escape", "q", "n"):
            self.dismiss(False)  # noqa: FBT003
