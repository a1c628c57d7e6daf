"""Small dialogs over the label screen; text is plain ``Content``, never parsed as markup."""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from dgaal_cli.harmless import show
from dgaal_cli.store.records import ClassRecord

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

    def body(self) -> Sequence[Static | Input]:
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


class AddClassDialog(Dialog[str | None]):
    """Asks for the name of a new class."""

    heading = " add a class "
    BINDINGS: ClassVar = [("escape", "leave", "back")]

    def body(self) -> Sequence[Static | Input]:
        """A line to type into."""
        return [
            Static(text("Its key is chosen for you and shown in the list.")),
            Input(placeholder="name of the class", max_length=64, id="name", classes="gap"),
            Static(
                text((" ⏎ ", "reverse bold"), " add   ", (" Esc ", "reverse bold"), " back"),
                classes="gap",
            ),
        ]

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand the name over."""
        self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        """Go back without a class."""
        self.dismiss(None)


class FindClassDialog(Dialog[ClassRecord | None]):
    """Type a part of a class name; Enter takes the first that fits."""

    heading = " find a class "
    BINDINGS: ClassVar = [
        ("escape", "leave", "back"),
        ("down", "move(1)", "next"),
        ("up", "move(-1)", "previous"),
    ]
    SHOWN = 8

    def __init__(self, classes: Sequence[ClassRecord]) -> None:
        super().__init__()
        self._known = list(classes)
        self._found = list(classes)
        self._at = 0

    def body(self) -> Sequence[Static | Input]:
        """A line to type into and the classes that fit."""
        return [
            Input(placeholder="part of the name", id="part"),
            Static("", id="found", classes="gap"),
            Static(
                text(
                    (" ⏎ ", "reverse bold"),
                    " answer with ▸   ",
                    (" ↑↓ ", "reverse bold"),
                    " move   ",
                    (" Esc ", "reverse bold"),
                    " back",
                ),
                classes="gap",
            ),
        ]

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._found = find_classes(self._known, event.value)
        self._at = 0
        self._draw()

    def on_input_submitted(self) -> None:
        """Take the marked class."""
        if self._found:
            self.dismiss(self._found[self._at])

    def action_move(self, step: int) -> None:
        """Mark another class."""
        if self._found:
            self._at = (self._at + step) % min(len(self._found), self.SHOWN)
            self._draw()

    def action_leave(self) -> None:
        """Go back without an answer."""
        self.dismiss(None)

    def _draw(self) -> None:
        parts: list[str | tuple[str, str]] = []
        for index, record in enumerate(self._found[: self.SHOWN]):
            is_at = index == self._at
            parts.append(("▸ " if is_at else "  ", "bold"))
            parts.append((show(record.name) + "\n", "bold" if is_at else ""))
        if not self._found:
            parts.append("no class fits")
        elif len(self._found) > self.SHOWN:
            parts.append(f"  … {len(self._found) - self.SHOWN} more")
        self.query_one("#found", Static).update(text(*parts))


def find_classes(classes: Sequence[ClassRecord], part: str) -> list[ClassRecord]:
    """Classes whose name holds the letters of ``part`` in order; the closest first."""
    wanted = part.casefold().replace(" ", "")

    def rank(record: ClassRecord) -> tuple[int, int] | None:
        name = record.name.casefold()
        if name.startswith(wanted):
            return 0, len(name)
        if wanted in name:
            return 1, name.index(wanted)
        letters = iter(name)
        return (2, len(name)) if all(letter in letters for letter in wanted) else None

    ranked = [(rank(record), record) for record in classes]
    fitting = [(key, record) for key, record in ranked if key is not None]
    return [record for _, record in sorted(fitting, key=lambda pair: (pair[0], pair[1].position))]
