"""Keys of commands and classes, without collisions.

Commands use letters. The first 10 classes use digits, the next ones the letters that no command
has, then capitals: a new class never changes the key of a command. More than 36 classes use two
keys each, and commands use capitals and punctuation; classes beyond 400 are found by search.

Commands also use capitals where classes need their letters: the configuration gives letters to
classes, a class has the letter of a command as its own key, or the classes are an alphabet.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dgaal_cli.errors import ConfigError, UsageError, check_known
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord, Label

DIGITS = "1234567890"
HOME_ROW = "asdfghjklqwertyuiopzxcvbnm"
CAPITALS = "SJKWEYIBNMLOPZGQRTVXHDFCAU"
"""Keys of classes when no letter is left; those of other screens' actions are last."""
GROUP_KEYS = "asdfgqwertzxcvb12345"
MEMBER_KEYS = "jklhuiopynm67890asdf"
MAX_LETTERS = 36
MIN_ALPHABET = 20
"""Classes that are all letters have their own letters from this number on."""
MAX_CODES = len(GROUP_KEYS) * len(MEMBER_KEYS)
CODE_S = 1.5
"""Seconds after which the first key of a two-key code is forgotten."""
_RESERVED = {
    "escape": "goes back",
    "^": "is the rest of a broken sequence",
    "ctrl+c": "leaves",
    "ctrl+q": "leaves",
    "ctrl+p": "opens the palette",
    "ctrl+m": "is Enter to a terminal",
    "ctrl+i": "is Tab to a terminal",
    "ctrl+h": "is Backspace to many terminals",
}
_NAMED = re.compile(
    r"(ctrl\+[a-z]|f[1-9]|f1[0-2]|enter|space|backspace|delete|insert|tab|home|end|pageup|pagedown"
    r"|up|down|left|right)"
)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action of a screen; those of the label screen are its commands."""

    name: str
    title: str
    """One or two words for the footer."""
    explanation: str
    """Description for the help."""
    keys: tuple[str, ...] = ()
    """On other screens, empty: the keys of the label screen's command with that name."""
    letter_keys: tuple[str, ...] = ()
    """Keys of a command while classes use letters."""
    group: str = ""
    """Section of a command in the help."""
    spoken: str = ""
    """Text for the keys in the footer; empty: the first key."""


_LETTER_KEYS = {
    "cannot_tell": "! X",
    "skip": "space ;",
    "undo": ". backspace",
    "redo": "U ,",
    "invert": "~",
}
"""Keys while classes use letters; the other commands have the capitals of their keys."""
LOOK = "Look"
"""Group of the commands that show more of the same image: their keys yield to others."""
_COMMANDS = {
    "Answer": (
        ("accept", "Accept", "enter", "answer with the model's guess, if it is shown"),
        (
            "cannot_tell",
            "Can't tell",
            "x",
            "no class fits: the image leaves the pool without a label",
        ),
        ("skip", "Skip", "space", "ask again at the end of the round"),
        (
            "undo",
            "Undo",
            "u backspace",
            "take back the last answer; works repeatedly, even after a restart",
        ),
        ("redo", "Redo", "U", "restore the answer that undo removed"),
        ("search", "Find", "/", "type a part of a class name, Enter answers with it"),
    ),
    "View": (
        ("help", "Help", "? f1", "this page"),
        ("hints", "Hints", "p", "show or hide the model's guess; each label records it"),
        ("learner", "Learner", "l", "update guesses and order during the round, or not"),
        ("outside", "Open", "o", "open the image in the desktop's viewer, or show its path"),
        ("smooth", "Sharp", "z", "show pixels with sharp or with smooth edges"),
    ),
    LOOK: (
        ("alone", "Image", "v", "give the image the whole screen, or show the panel again"),
        ("burst", "Burst", "tab", "images of the same group: look at them, or give all one answer"),
        ("zoom_in", "Zoom", "+ =", "the image at 100 %, 200 %, 400 % of its pixels"),
        ("zoom_out", "Zoom out", "-", "back to the whole image"),
        ("pan_left", "Left", "left", "with a zoom: show what is further left"),
        ("pan_right", "Right", "right", "with a zoom: show what is further right"),
        ("pan_up", "Up", "up", "with a zoom: show what is further up"),
        ("pan_down", "Down", "down", "with a zoom: show what is further down"),
        ("brighter", "Brighter", "]", "brighten the image; labels do not depend on it"),
        ("darker", "Darker", "[", "darken the image"),
        ("contrast", "Contrast", "}", "more contrast"),
        ("flatter", "Flatter", "{", "less contrast"),
        ("invert", "Invert", "I", "swap dark and light"),
        (
            "details",
            "Details",
            "i",
            "file, size, time and camera of the image, and why it is asked",
        ),
        ("equalize", "Equalize", "E", "raise the contrast in dark and in bright parts"),
        ("as_it_is", "As it is", "\\", "whole image, as its file has it"),
        ("glyphs", "Glyphs", "b", "compare half blocks, quadrants, sextants and octants"),
    ),
    "Round": (
        ("flag", "Flag", "f", "mark the image for a second look"),
        ("grid", "Grid", "g", "confirm guesses by page: mark wrong ones, accept the rest"),
        ("rounds", "Rounds", "h", "rounds so far; next round, method, query size, synthesis"),
        ("review", "Review", "r", "review and change answers"),
        ("add", "Add class", "a", "add a class"),
        ("train", "Train", "t", "finish the round now, train on the labels, ask the next images"),
        ("quit", "Quit", "q ctrl+q", "leave"),
    ),
}
"""Name, title, keys while classes use digits, and explanation of each command, by group."""


def _capitals(keys: str) -> str:
    return " ".join(key.upper() if len(key) == 1 else key for key in keys.split())


COMMANDS = tuple(
    Action(
        name=name,
        title=title,
        explanation=explanation,
        keys=tuple(keys.split()),
        letter_keys=tuple(_LETTER_KEYS.get(name, _capitals(keys)).split()),
        group=group,
    )
    for group, commands in _COMMANDS.items()
    for name, title, keys, explanation in commands
)

_SPOKEN = {"enter": "⏎", "backspace": "⌫", "f1": "F1", "tab": "Tab", "ctrl+q": "^q"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """Custom keys of the configuration."""

    commands: Mapping[str, str | Sequence[str]] = field(default_factory=dict[str, str])
    """Keys by command name; ``grid.confirm`` for another screen."""
    classes: str = ""
    """One character per class; empty: the digits."""

    def chosen(self) -> set[str]:
        """Return all custom keys of commands, of any screen."""
        custom = self.commands.values()
        return {key for keys in custom for key in ([keys] if isinstance(keys, str) else keys)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keymap:
    """The current meaning of keys; footer and help show it."""

    commands: dict[str, Action]
    """By key."""
    codes: dict[str, ClassUid]
    """By key, or by two consecutive keys."""
    code_of: dict[ClassUid, str] = field(default_factory=dict[ClassUid, str])
    own: OwnKeys = field(default_factory=OwnKeys)
    """Custom keys, also of the other screens."""

    def code_for(self, label: Label | None) -> str:
        """Return the keys of the class that a label names, empty where it has none."""
        return self.code_of.get(label.classes[0], "") if label else ""

    @property
    def is_two_key(self) -> bool:
        """Whether classes have two keys."""
        return any(len(code) == 2 for code in self.codes)

    def starts_code(self, key: str) -> bool:
        """Return whether ``key`` is the first key of a two-key code."""
        return self.is_two_key and any(code[0] == key for code in self.codes if len(code) == 2)

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Return the keys of a command; the first one is shown."""
        return tuple(key for key, command in self.commands.items() if command.name == name)

    def live_commands(self) -> list[Action]:
        """Return the commands of the label screen with their keys."""
        commands = dict.fromkeys(self.commands.values())
        return [replace(command, keys=self.keys_of(command.name)) for command in commands]

    def class_keys(self) -> str:
        """Return the class keys as short text for the footer: ``0-9``."""
        codes = list(self.codes)
        if not codes:
            return ""
        if self.is_two_key:
            return "two keys"
        ordered = sorted(codes)
        if len(codes) > 2 and "".join(ordered) in "0123456789":
            return f"{ordered[0]}-{ordered[-1]}"
        if len(codes) > 6:
            return f"{ordered[0]}…{ordered[-1]}"
        return "".join(codes)


def make_keymap(
    classes: Sequence[ClassRecord],
    *,
    own: OwnKeys | None = None,
    known: Mapping[ClassUid, str] | None = None,
) -> Keymap:
    """Assign keys to classes and commands.

    Args:
        classes: Classes in the order of the screen.
        own: Custom keys.
        known: Previous keys of the classes, kept if possible.

    Raises:
        ConfigError: Custom keys collide, are not keys, or belong to an unknown command.
        UsageError: A class has the key of a command or of another class.
    """
    own = own or OwnKeys()
    first = own.classes or DIGITS
    is_letters = len(classes) > len(first)
    is_two_key = len(classes) > MAX_LETTERS
    has_letters = (
        is_two_key
        or any(key in HOME_ROW for key in first)
        or (is_letters and _need_command_letters(classes))
    )
    of_classes = {*first, *DIGITS, *(HOME_ROW if is_two_key else "")}
    wanted = {*first, *(c.key for c in classes), *own.chosen()}
    commands = _command_keys(own, of_classes, wanted, has_letters=has_letters)
    for key in first:
        if key in commands:
            raise ConfigError(
                f"label.class_keys has '{key}', which means '{commands[key].title}' here; "
                f"choose another key, or one for that command: label.keys.{commands[key].name}"
            )
    if is_two_key:
        code_of = _two_keys(classes[:MAX_CODES])
    else:
        more = DIGITS + HOME_ROW + CAPITALS if is_letters else ""
        free = [key for key in dict.fromkeys([*first, *more]) if key not in commands]
        code_of = _single_keys(classes, commands, free, known or {})
    return Keymap(
        commands=commands,
        codes={code: uid for uid, code in code_of.items()},
        code_of=code_of,
        own=own,
    )


def moved_keys(before: Keymap, after: Keymap) -> list[str]:
    """Return the keys whose meaning has changed.

    Includes keys of removed classes: a person may still press them by habit.
    """
    codes = [code for code, uid in before.codes.items() if after.codes.get(code) != uid]
    names = {key: command.name for key, command in after.commands.items()}
    return codes + [key for key, c in before.commands.items() if names.get(key) != c.name]


def spell_key(key: str) -> str:
    """Return a key as text for footer and help."""
    return _SPOKEN.get(key, key)


def _command_keys(
    own: OwnKeys, of_classes: set[str], wanted: set[str], *, has_letters: bool
) -> dict[str, Action]:
    """Return the command of each key; default keys if classes need the custom ones.

    Keys that somebody ``wanted`` are no default keys of the commands that yield.
    """
    known = {command.name for command in COMMANDS}
    for name in own.commands:
        if "." not in name:
            check_name(name, known)
    found: dict[str, Action] = {}
    for command in COMMANDS:
        defaults = command.letter_keys if has_letters else command.keys
        if command.group == LOOK:
            defaults = [key for key in defaults if key not in wanted]
        chosen = [key for key in chosen_keys(own, command.name) if key not in of_classes]
        for key in chosen or defaults:
            if key in found:
                raise ConfigError(
                    f"label.keys: '{found[key].name}' and '{command.name}' both have the key "
                    f"'{key}'; choose another key for one of them"
                )
            found[key] = command
    return found


def check_name(name: str, known: Iterable[str]) -> None:
    """Check that a command exists.

    Raises:
        ConfigError: The name is not in ``known``.
    """
    check_known(name, sorted(known), problem=f"label.keys: no command is called '{name}'")


def chosen_keys(own: OwnKeys, name: str) -> list[str]:
    """Return the custom keys of a command; empty: the default keys.

    Raises:
        ConfigError: A key is invalid or reserved.
    """
    keys = own.commands.get(name, ())
    keys = [keys] if isinstance(keys, str) else [*keys]
    for key in keys:
        if key in _RESERVED:
            raise ConfigError(f"label.keys.{name}: {key} {_RESERVED[key]} and cannot be changed")
        is_character = len(key) == 1 and key.isprintable() and key != " "
        if not is_character and not _NAMED.fullmatch(key):
            raise ConfigError(
                f"label.keys.{name}: '{key}' is not a key; write one character, or a name "
                "such as space, enter, f2, ctrl+z"
            )
        if key in DIGITS:
            raise ConfigError(f"label.keys.{name}: digits are for classes; choose another key")
    return keys


def _need_command_letters(classes: Sequence[ClassRecord]) -> bool:
    """Return whether classes have letters of commands as their own keys, or are an alphabet."""
    letters = {key for command in COMMANDS for key in command.keys if key in HOME_ROW}
    if any(c.key in letters for c in classes):
        return True
    return len(classes) >= MIN_ALPHABET and all(_natural(_folded(c)) for c in classes)


def _single_keys(
    classes: Sequence[ClassRecord],
    commands: dict[str, Action],
    free: Sequence[str],
    known: Mapping[ClassUid, str],
) -> dict[ClassUid, str]:
    """Return a key of ``free`` for each class.

    The key of a class depends on earlier classes only, apart from names that are keys: so a class
    that is added at the end changes no other key, also after a restart.
    """
    chosen = _own_keys(classes, commands)
    taken = set(chosen.values())
    natural = {c.uid: _natural(_folded(c)) for c in classes}  # 7 for the names 7 and seven
    for preferred in (known, natural):
        for c in classes:
            key = preferred.get(c.uid, "")
            if c.uid not in chosen and key in free and key not in taken:
                chosen[c.uid] = key
                taken.add(key)
    for c in classes:
        if c.uid in chosen:
            continue
        key = next(key for key in free if key not in taken)
        initial = _folded(c)[:1]
        if key not in DIGITS and initial in HOME_ROW and initial in free and initial not in taken:
            key = initial
        chosen[c.uid] = key
        taken.add(key)
    return chosen


def _folded(record: ClassRecord) -> str:
    return show(record.name).casefold()


def _own_keys(classes: Sequence[ClassRecord], commands: dict[str, Action]) -> dict[ClassUid, str]:
    owner: dict[str, ClassRecord] = {}
    for c in classes:
        if not c.key:
            continue
        if c.key in commands:
            raise UsageError(
                f"class '{c.name}' has the key '{c.key}', which means "
                f"'{commands[c.key].title}' here; choose another key for the class, or none"
            )
        if c.key in owner:
            raise UsageError(
                f"classes '{owner[c.key].name}' and '{c.name}' both have the key "
                f"'{c.key}'; choose another key for one of them"
            )
        if len(c.key) != 1 or not c.key.isprintable() or c.key == " ":
            raise UsageError(f"class '{c.name}' has the key '{c.key}'; a key is one character")
        owner[c.key] = c
    return {c.uid: key for key, c in owner.items()}


def _natural(name: str) -> str:
    """Return the key that equals a class name: ``7`` for 7 and seven, ``k`` for k; else empty."""
    if name in _NUMBERS:
        return str(_NUMBERS.index(name))
    return name if len(name) == 1 and name.isascii() and name.isalnum() else ""


def _two_keys(classes: Sequence[ClassRecord]) -> dict[ClassUid, str]:
    members = len(MEMBER_KEYS)
    groups = -(-len(classes) // members)
    size = -(-len(classes) // groups)
    return {
        c.uid: GROUP_KEYS[index // size] + MEMBER_KEYS[index % size]
        for index, c in enumerate(classes)
    }
