"""The help page, generated from the current keymap."""

import textwrap
from collections.abc import Callable, Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from dgaal_cli.escaping import show
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui.gate import HOLD_DELAY_S
from dgaal_cli.tui.keymap import Action, Keymap, spell_key
from dgaal_cli.tui.screens.dialogs import PageDialog, text

_MAX_CLASSES = 40
_WIDTH = 90
_KEYS, _TITLE = 10, 13
_INDENT = 2 + _KEYS + 1 + _TITLE
_PALETTE = ("^p", "Palette", "find a command of this screen by its name")


class HelpDialog(PageDialog):
    """Shows the keys: first classes, then commands by group."""

    heading = " keys "
    leave_keys = ("escape", "q", "enter", "?", "f1")
    back_key = ("Esc", "back")

    def __init__(
        self, keymap: Keymap, classes: Sequence[ClassRecord], actions: Sequence[Action] = ()
    ) -> None:
        """Create the page; with ``actions``, of another screen than the label screen."""
        super().__init__()
        self._keymap = keymap
        self._known = classes
        self._actions = actions

    def body(self) -> Sequence[Static]:
        """Create the page."""
        room = min(_WIDTH, int(0.96 * self.app.size.width)) - 8  # without the scroll bar
        commands = command_text(self._keymap, room)
        if self._actions:
            commands = text(*_lines(self._actions, room))
        saved = text(("Every answer is saved before the next one is taken.", "italic"))
        class_keys = class_keys_text(self._keymap, self._known, room)
        return [
            *([] if self._actions and not self._known else [Static(class_keys)]),
            Static(commands, classes="gap"),
            Static(text(*_line(*_PALETTE, room))),
            Static(saved, classes="gap"),
            self.keys(self.back_key),
        ]


class NewKeysDialog(HelpDialog):
    """The keys have changed: blocks labeling until a person confirms it."""

    heading = " keys have changed "
    leave_keys = ("enter", "escape")
    back_key = ("⏎", "continue")

    def __init__(
        self, keymap: Keymap, classes: Sequence[ClassRecord], *, clock: Callable[[], float]
    ) -> None:
        super().__init__(keymap, classes)
        self._clock = clock
        self._pressed_at = clock()

    def body(self) -> Sequence[Static]:
        """Create the notice and the page."""
        notice = "The classes have changed, and some keys too. Read them, then press Enter:"
        return [Static(text((notice, "bold #ffb454"))), *super().body()]

    def action_leave(self) -> None:
        """Continue, unless the key is held or was pressed before the page was shown."""
        before, self._pressed_at = self._pressed_at, self._clock()
        if self._pressed_at - before >= HOLD_DELAY_S:
            super().action_leave()


def class_keys_text(keymap: Keymap, classes: Sequence[ClassRecord], width: int) -> Content:
    """Return classes and keys in lines of at most ``width``, without breaks inside an entry."""
    if keymap.is_two_key:
        return text(
            f"{len(classes)} classes, two keys each: ",
            "the first key shows the classes of the second.",
        )
    parts: list[str | tuple[str, str]] = []
    used = 0
    for record in classes[:_MAX_CLASSES]:
        code = keymap.code_of.get(record.uid, "")
        cap, name = f" {code} " if code else "", f" {show(record.name)}"
        cells = cell_len(cap + name)
        if used and used + cells > width:
            parts.append("\n")
            used = 0
        parts += [(cap, "reverse bold"), f"{name}   "]
        used += cells + 3
    if len(classes) > _MAX_CLASSES:
        parts.append(f"… and {len(classes) - _MAX_CLASSES} more")
    return text(*parts) if parts else text("No classes yet: add one.")


def command_text(keymap: Keymap, width: int) -> Content:
    """Return the commands by group, each with all its keys; explanations in one column."""
    parts: list[str | tuple[str, str]] = []
    groups: dict[str, list[Action]] = {}
    for command in keymap.live_commands():
        groups.setdefault(command.group, []).append(command)
    for group, commands in groups.items():
        parts.append((f"{group}\n", "bold #7cbcff"))
        parts += _lines(commands, width)
    return text(*parts)


def _lines(actions: Sequence[Action], width: int) -> list[str | tuple[str, str]]:
    parts: list[str | tuple[str, str]] = []
    for action in actions:
        keys = action.spoken or " ".join(spell_key(key) for key in action.keys)
        parts += [*_line(keys, action.title, action.explanation, width), "\n"]
    return parts


def _line(keys: str, title: str, explanation: str, width: int) -> list[str | tuple[str, str]]:
    lines = textwrap.wrap(explanation, max(20, width - _INDENT))
    return [
        (f"  {keys:<{_KEYS}}", "bold #ffb454"),
        f" {title:<{_TITLE}}",
        (f"\n{' ' * _INDENT}".join(lines), "#8a95a3"),
    ]
