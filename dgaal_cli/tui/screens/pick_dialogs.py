"""Dialogs with text input: a number, one of several names, a class."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Input, Static

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui.screens.dialogs import Dialog, keys_line, text
from dgaal_cli.tui.widgets.review_search import parse_search

Result = TypeVar("Result")


class InputDialog(Dialog[Result | None], Generic[Result]):
    """A dialog with one input; Escape closes it without a result."""

    BINDINGS: ClassVar = [("escape", "leave", "back")]

    def on_mount(self) -> None:
        """Focus the input, which selects its text."""
        self.query_one(Input).focus()


class NumberDialog(InputDialog[int]):
    """Asks for a number of at least 1."""

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
            Static(keys_line(("⏎", "go"), ("Esc", "back")), classes="gap"),
        ]

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


class AddClassDialog(InputDialog[str]):
    """Asks for the name of a new class."""

    heading = " add a class "

    def body(self) -> Sequence[Static | Input]:
        """Create the input."""
        return [
            Static(text("Its key is chosen for you and shown in the list.")),
            Input(placeholder="name of the class", max_length=64, id="name", classes="gap"),
            Static(keys_line(("⏎", "add"), ("Esc", "back")), classes="gap"),
        ]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the name."""
        self.dismiss(event.value.strip() or None)


class WordsDialog(InputDialog[str]):
    """Asks for words by which the review lists answers."""

    heading = " list answers by words "

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words

    def body(self) -> Sequence[Static | Input]:
        """Create explanation, input and keys."""
        return [
            Static(text("Parts of a file's name, and by:NAME (by:me), since:2026-11-30, before:…")),
            Input(self._words, max_length=200, id="words", classes="gap"),
            Static("", id="problem"),
            Static(keys_line(("⏎", "list"), ("Esc", "back")), classes="gap"),
        ]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the words if they are conditions."""
        try:
            parse_search(event.value)
        except UsageError as error:
            self.app.bell()
            self.query_one("#problem", Static).update(text((show(str(error)), "#ffb454")))
        else:
            self.dismiss(event.value.strip())


class SearchDialog(InputDialog[Result], Generic[Result]):
    """Type a part of a name; Enter returns the marked entry."""

    BINDINGS: ClassVar = [("down", "move(1)", "next"), ("up", "move(-1)", "previous")]
    shown = 8
    """Number of entries in the list."""
    is_scrolled = False
    """Whether entries after the first ``shown`` can be marked too."""
    current: Result | None = None

    def __init__(self, entries: Sequence[Result], *, at: int = 0, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._found = list(entries)
        self._at = at

    def find(self, part: str) -> list[Result]:
        """Return the entries that match ``part``."""
        raise NotImplementedError

    def name_of(self, entry: Result) -> str:
        """Return the name of an entry."""
        return str(entry)

    def on_mount(self) -> None:
        """List all entries."""
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter the list."""
        self._found, self._at = self.find(event.value), 0
        self._draw()

    def on_input_submitted(self) -> None:
        """Return the marked entry."""
        if self._found:
            self.dismiss(self._found[self._at])

    def action_move(self, step: int) -> None:
        """Mark another entry."""
        count = len(self._found) if self.is_scrolled else min(len(self._found), self.shown)
        if count:
            self._at = (self._at + step) % count
            self._draw()

    def _draw(self) -> None:
        found, at = self._found, self._at
        first = (
            max(0, min(at - self.shown // 2, len(found) - self.shown)) if self.is_scrolled else 0
        )
        parts: list[str | tuple[str, str]] = []
        for index, entry in enumerate(found[first : first + self.shown], start=first):
            parts.append(("▸ " if index == at else "  ", "bold"))
            parts.append((show(self.name_of(entry)), "bold" if index == at else ""))
            parts.append(("  (now)\n" if entry == self.current else "\n", "#8a95a3"))
        if not found:
            parts.append("no match")
        elif len(found) > self.shown and not self.is_scrolled:
            parts.append(f"  … {len(found) - self.shown} more")
        self.query_one("#found", Static).update(text(*parts))


class PickDialog(SearchDialog[str]):
    """Selects one of several names."""

    shown = 10
    is_scrolled = True

    def __init__(
        self, heading: str, names: Sequence[str], *, current: str, notes: Mapping[str, str]
    ) -> None:
        """Create the dialog; ``notes`` say what is behind a name."""
        self.heading = f" {heading} "
        self._names = list(names)
        self._notes = notes
        self._column = max(map(cell_len, names), default=0)
        self.current = current
        super().__init__(names, at=self._names.index(current) if current in names else 0)

    def body(self) -> Sequence[Static | Input]:
        """Create the input and the list of matching names."""
        keys = keys_line(("⏎", "select ▸"), ("↑↓", "move"), ("Esc", "back"))
        return [
            Input(placeholder="part of the name", id="part"),
            Static("", id="found", classes="gap"),
            Static(keys, classes="gap"),
        ]

    def find(self, part: str) -> list[str]:
        """Return the names that contain ``part``, then those whose note does."""
        wanted = part.casefold().strip()
        found = [name for name in self._names if wanted in self.name_of(name).casefold()]
        return sorted(found, key=lambda name: wanted not in name.casefold())

    def name_of(self, entry: str) -> str:
        """Return a name and its note."""
        note = self._notes.get(entry, "")
        return f"{entry:<{self._column}}  {note}".rstrip()


class FindClassDialog(SearchDialog[ClassRecord]):
    """Finds a class; at one side of the screen, so that the image stays visible."""

    heading = " find a class "
    RESERVED = 11
    """Rows of the screen that the list leaves free."""

    def __init__(
        self, known: Sequence[ClassRecord], *, verb: str = "answer with", side: str = "right"
    ) -> None:
        """Create the dialog; Enter means ``verb``, and the image is on the other side."""
        super().__init__(known, classes=f"-{side}")
        self._known = known
        self._verb = verb

    def body(self) -> Sequence[Static | Input]:
        """Create the input and the list of matching classes."""
        enter, others = (
            keys_line(("⏎", f"{self._verb} ▸")),
            keys_line(("↑↓", "move"), ("Esc", "back")),
        )
        return [
            Input(placeholder="part of the name", id="part"),
            Static("", id="found"),
            Static(Content("\n").join([enter, others])),
        ]

    def on_mount(self) -> None:
        """List as many classes as the screen has room for."""
        self.shown = max(4, min(len(self._known), self.app.size.height - self.RESERVED))
        self.query_one("#found", Static).styles.height = self.shown + 1
        super().on_mount()

    def find(self, part: str) -> list[ClassRecord]:
        """Return the matching classes, best match first."""
        return find_classes(self._known, part)

    def name_of(self, entry: ClassRecord) -> str:
        """Return the name of a class."""
        return entry.name


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
