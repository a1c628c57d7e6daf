"""Dialogs with text input: a number, one of several names, a class."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual.widgets import Input, Static

from dgaal_cli.escaping import show
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui.screens.dialogs import Dialog, text

_CAP = "reverse bold"


class NumberDialog(Dialog[int | None]):
    """Asks for a number of at least 1."""

    BINDINGS: ClassVar = [("escape", "leave", "back")]

    def __init__(self, heading: str, question: str, *, value: int, maximum: int = 100_000) -> None:
        self.heading = f" {heading} "
        super().__init__()
        self._question = question
        self._value = value
        self._maximum = maximum

    def body(self) -> Sequence[Static | Input]:
        """Create question, number and keys."""
        return [
            Static(text(self._question)),
            Input(str(self._value), type="integer", max_length=6, id="number", classes="gap"),
            Static("", id="range"),
            Static(text((" ⏎ ", _CAP), " go   ", (" Esc ", _CAP), " back"), classes="gap"),
        ]

    def on_mount(self) -> None:
        """Focus the input and select the number."""
        field = self.query_one(Input)
        field.focus()
        field.select_all()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the number if it is valid."""
        digits = event.value.strip()
        number = int(digits) if digits.isascii() and digits.isdigit() else 0
        if 1 <= number <= self._maximum:
            self.dismiss(number)
        else:
            self.app.bell()
            hint = f"a number from 1 to {self._maximum:,}, please"
            self.query_one("#range", Static).update(text((hint, "#ffb454")))

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)


class PickDialog(Dialog[str | None]):
    """Type a part of a name; Enter selects the marked one."""

    BINDINGS: ClassVar = [
        ("escape", "leave", "back"),
        ("down", "move(1)", "next"),
        ("up", "move(-1)", "previous"),
    ]
    SHOWN = 10

    def __init__(self, heading: str, names: Sequence[str], *, current: str) -> None:
        self.heading = f" {heading} "
        super().__init__()
        self._names = list(names)
        self._current = current
        self._found = list(names)
        self._at = self._found.index(current) if current in self._found else 0

    def body(self) -> Sequence[Static | Input]:
        """Create the input and the list of matching names."""
        return [
            Input(placeholder="part of the name", id="part"),
            Static("", id="found", classes="gap"),
            Static(
                text(
                    *((" ⏎ ", _CAP), " select ▸   "),
                    *((" ↑↓ ", _CAP), " move   "),
                    *((" Esc ", _CAP), " back"),
                ),
                classes="gap",
            ),
        ]

    def on_mount(self) -> None:
        """Focus the input."""
        self.query_one(Input).focus()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter the list."""
        part = event.value.casefold().strip()
        if part:
            self._found = [name for name in self._names if part in name.casefold()]
            self._at = 0
        else:
            self._found = list(self._names)
        self._draw()

    def on_input_submitted(self) -> None:
        """Return the marked name."""
        if self._found:
            self.dismiss(self._found[self._at])

    def action_move(self, step: int) -> None:
        """Mark another name."""
        if self._found:
            self._at = (self._at + step) % len(self._found)
            self._draw()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def _draw(self) -> None:
        first = max(0, min(self._at - self.SHOWN // 2, len(self._found) - self.SHOWN))
        parts: list[str | tuple[str, str]] = []
        for index, name in enumerate(self._found[first : first + self.SHOWN], start=first):
            style = "bold" if index == self._at else ""
            parts.append(("▸ " if index == self._at else "  ", "bold"))
            parts.append((show(name), style))
            parts.append(("  (now)\n" if name == self._current else "\n", "#8a95a3"))
        if not self._found:
            parts.append("no match")
        self.query_one("#found", Static).update(text(*parts))


class AddClassDialog(Dialog[str | None]):
    """Asks for the name of a new class."""

    heading = " add a class "
    BINDINGS: ClassVar = [("escape", "leave", "back")]

    def body(self) -> Sequence[Static | Input]:
        """Create the input."""
        return [
            Static(text("Its key is chosen for you and shown in the list.")),
            Input(placeholder="name of the class", max_length=64, id="name", classes="gap"),
            Static(
                text((" ⏎ ", "reverse bold"), " add   ", (" Esc ", "reverse bold"), " back"),
                classes="gap",
            ),
        ]

    def on_mount(self) -> None:
        """Focus the input."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the name."""
        self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        """Go back without a class."""
        self.dismiss(None)


class FindClassDialog(Dialog[ClassRecord | None]):
    """Type a part of a class name; Enter selects the marked class.

    The box is at one side of the screen, so that the image stays visible.
    """

    heading = " find a class "
    BINDINGS: ClassVar = [
        ("escape", "leave", "back"),
        ("down", "move(1)", "next"),
        ("up", "move(-1)", "previous"),
    ]
    SHOWN = 8

    def __init__(
        self,
        classes: Sequence[ClassRecord],
        *,
        verb: str = "answer with",
        side: Literal["left", "right"] = "right",
    ) -> None:
        """Create the dialog.

        Args:
            classes: Classes in the order of the screen.
            verb: Action of Enter, as shown.
            side: Side of the box; the image is on the other side.
        """
        super().__init__(classes=f"-{side}")
        self._verb = verb
        self._known = list(classes)
        self._found = list(classes)
        self._at = 0

    def body(self) -> Sequence[Static | Input]:
        """Create the input and the list of matching classes."""
        return [
            Input(placeholder="part of the name", id="part"),
            Static("", id="found"),
            Static(
                text(
                    (" ⏎ ", "reverse bold"),
                    f" {self._verb} ▸\n",
                    (" ↑↓ ", "reverse bold"),
                    " move   ",
                    (" Esc ", "reverse bold"),
                    " back",
                )
            ),
        ]

    def on_mount(self) -> None:
        """Focus the input."""
        self.query_one(Input).focus()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter the list."""
        self._found = find_classes(self._known, event.value)
        self._at = 0
        self._draw()

    def on_input_submitted(self) -> None:
        """Return the marked class."""
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
            parts.append("no match")
        elif len(self._found) > self.SHOWN:
            parts.append(f"  … {len(self._found) - self.SHOWN} more")
        self.query_one("#found", Static).update(text(*parts))


def find_classes(classes: Sequence[ClassRecord], part: str) -> list[ClassRecord]:
    """Return classes whose name contains the letters of ``part`` in order; best match first."""
    letters_typed = part.casefold().replace(" ", "")

    def rank(record: ClassRecord) -> tuple[int, int] | None:
        name = record.name.casefold()
        if name.startswith(letters_typed):
            return 0, len(name)
        if letters_typed in name:
            return 1, name.index(letters_typed)
        letters = iter(name)
        return (2, len(name)) if all(letter in letters for letter in letters_typed) else None

    ranked = [(rank(record), record) for record in classes]
    matches = [(key, record) for key, record in ranked if key is not None]
    return [record for _, record in sorted(matches, key=lambda pair: (pair[0], pair[1].position))]
