"""Which key means what: commands, and a key for every class, without a collision.

Up to 10 classes take digits and leave letters to commands. 11 to 36 take digits and letters, and
commands move to capitals and punctuation. More take two keys; above 400 the
rest is found by search.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dgaal_cli.errors import ConfigError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord

DIGITS = "1234567890"
HOME_ROW = "asdfghjklqwertyuiopzxcvbnm"
GROUP_KEYS = "asdfgqwertzxcvb12345"
MEMBER_KEYS = "jklhuiopynm67890asdf"
MAX_LETTERS = 36
MAX_CODES = len(GROUP_KEYS) * len(MEMBER_KEYS)
CODE_S = 1.5
"""Seconds after which the first key of a two-key code is forgotten."""
_RESERVED = {
    "escape": "goes back",
    "^": "is what remains of a broken sequence",
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
class Command:
    """One thing the label screen can do besides naming a class."""

    name: str
    title: str
    """One or two words for the footer."""
    explanation: str
    """A sentence for the help."""
    group: str
    keys: tuple[str, ...]
    """With classes on digits."""
    letter_keys: tuple[str, ...]
    """With classes on letters."""


COMMANDS = (
    Command(
        name="accept",
        title="Accept",
        explanation="answer with the model's guess, if it is shown",
        group="Answer",
        keys=("enter",),
        letter_keys=("enter",),
    ),
    Command(
        name="cannot_tell",
        title="Can't tell",
        explanation="no class fits: the image leaves the pool without a label",
        group="Answer",
        keys=("x",),
        letter_keys=("!", "X"),
    ),
    Command(
        name="skip",
        title="Skip",
        explanation="ask again at the end of the round",
        group="Answer",
        keys=("space",),
        letter_keys=("space", ";"),
    ),
    Command(
        name="undo",
        title="Undo",
        explanation="take the last answer back, again and again, even after restart",
        group="Answer",
        keys=("u", "backspace"),
        letter_keys=(".", "backspace"),
    ),
    Command(
        name="redo",
        title="Redo",
        explanation="bring the answer back that undo took",
        group="Answer",
        keys=("U",),
        letter_keys=("U", ","),
    ),
    Command(
        name="search",
        title="Find",
        explanation="type a part of a class name, Enter answers with it",
        group="Answer",
        keys=("/",),
        letter_keys=("/",),
    ),
    Command(
        name="help",
        title="Help",
        explanation="this page",
        group="View",
        keys=("?", "f1"),
        letter_keys=("?", "f1"),
    ),
    Command(
        name="hints",
        title="Hints",
        explanation="show or hide the model's guess; each label records it",
        group="View",
        keys=("p",),
        letter_keys=("P",),
    ),
    Command(
        name="learner",
        title="Learner",
        explanation="guesses and order learn from this round, or stay as queried",
        group="View",
        keys=("l",),
        letter_keys=("L",),
    ),
    Command(
        name="outside",
        title="Open",
        explanation="open the image in the desktop's viewer, or say where it lies",
        group="View",
        keys=("o",),
        letter_keys=("O",),
    ),
    Command(
        name="smooth",
        title="Smooth",
        explanation="switch between smooth and crisp pixels",
        group="View",
        keys=("z",),
        letter_keys=("Z",),
    ),
    Command(
        name="flag",
        title="Flag",
        explanation="mark the image for a second look",
        group="Round",
        keys=("f",),
        letter_keys=("F",),
    ),
    Command(
        name="grid",
        title="Grid",
        explanation="confirm guesses by the page: mark the wrong, take the rest",
        group="Round",
        keys=("g",),
        letter_keys=("G",),
    ),
    Command(
        name="rounds",
        title="Rounds",
        explanation="rounds so far; next round, method, query size, synthesis",
        group="Round",
        keys=("h",),
        letter_keys=("H",),
    ),
    Command(
        name="review",
        title="Review",
        explanation="look at answers again and change them",
        group="Round",
        keys=("r",),
        letter_keys=("R",),
    ),
    Command(
        name="add",
        title="Add class",
        explanation="add a class on the way",
        group="Round",
        keys=("a",),
        letter_keys=("A",),
    ),
    Command(
        name="train",
        title="Train",
        explanation="finish the round now, train on the labels, ask the next images",
        group="Round",
        keys=("t",),
        letter_keys=("T",),
    ),
    Command(
        name="quit",
        title="Quit",
        explanation="leave; everything is saved already",
        group="Round",
        keys=("q", "ctrl+q"),
        letter_keys=("Q", "ctrl+q"),
    ),
)

_SPOKEN = {
    "enter": "⏎",
    "space": "space",
    "backspace": "⌫",
    "f1": "F1",
    "ctrl+q": "^q",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """What the operator's configuration says about keys."""

    commands: Mapping[str, str | Sequence[str]] = field(default_factory=dict[str, str])
    """Keys by name of the command, of another screen's as ``grid.confirm``."""
    classes: str = ""
    """One character a class; empty: the digits."""

    def chosen(self) -> set[str]:
        """All keys that commands of any screen were given."""
        given = self.commands.values()
        return {key for keys in given for key in ([keys] if isinstance(keys, str) else keys)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keymap:
    """The live meaning of keys; footer and help are drawn from it."""

    commands: dict[str, Command]
    """By key."""
    codes: dict[str, ClassUid]
    """By key, or by two keys in a row."""
    code_of: dict[ClassUid, str] = field(default_factory=dict[ClassUid, str])
    own: OwnKeys = field(default_factory=OwnKeys)
    """What the operator chose, for the other screens too."""

    @property
    def is_two_key(self) -> bool:
        """Whether a class takes two keys."""
        return any(len(code) == 2 for code in self.codes)

    def starts_code(self, key: str) -> bool:
        """Tell whether ``key`` is the first of two."""
        return self.is_two_key and any(code[0] == key for code in self.codes if len(code) == 2)

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Keys of a command, the one to show first."""
        return tuple(key for key, command in self.commands.items() if command.name == name)

    def class_keys(self) -> str:
        """The classes' keys in short, for the footer: ``0-9``."""
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
    without: Iterable[str] = (),
    own: OwnKeys | None = None,
    known: Mapping[ClassUid, str] | None = None,
) -> Keymap:
    """Give every class a key.

    Args:
        classes: In the order of the screen.
        without: Commands to leave out.
        own: Keys of the operator's choice.
        known: Keys that the classes had until now; they keep them as far as they can.

    Raises:
        ConfigError: The operator's keys clash, or name no key or no command.
        UsageError: A class asks for a key that a command or another class has.
    """
    own = own or OwnKeys()
    first = own.classes or DIGITS
    is_letters = len(classes) > len(first)
    has_letters = is_letters or any(key in HOME_ROW for key in first)
    of_classes = {*first, *DIGITS, *(HOME_ROW if is_letters else "")}
    commands = _command_keys(own, of_classes, set(without), has_letters=has_letters)
    for key in first:
        if key in commands:
            raise ConfigError(
                f"label.class_keys has '{key}', which means '{commands[key].title}' here; "
                f"take another, or give that command one: label.keys.{commands[key].name}"
            )
    if len(classes) <= MAX_LETTERS:
        free = [*first, *(key for key in DIGITS + HOME_ROW if is_letters and key not in first)]
        code_of = _single_keys(classes, commands, free, known or {})
    else:
        code_of = _two_keys(classes[:MAX_CODES])
    return Keymap(
        commands=commands,
        codes={code: uid for uid, code in code_of.items()},
        code_of=code_of,
        own=own,
    )


def moved_keys(before: Keymap, after: Keymap) -> list[str]:
    """Return the keys that meant something before and mean something else, or nothing, now.

    A key of a class that is gone and of nothing else now counts as well: a finger may know it.
    """
    codes = [code for code, uid in before.codes.items() if after.codes.get(code) != uid]
    names = {key: command.name for key, command in after.commands.items()}
    return codes + [key for key, c in before.commands.items() if names.get(key) != c.name]


def spell_key(key: str) -> str:
    """How a key is written in footer and help."""
    return _SPOKEN.get(key, key)


def _command_keys(
    own: OwnKeys, of_classes: set[str], without: set[str], *, has_letters: bool
) -> dict[str, Command]:
    """Every key of a command; where classes need a key that was chosen, the usual ones stay."""
    known = {command.name for command in COMMANDS}
    for name in own.commands:
        if "." not in name:
            check_name(name, known)
    found: dict[str, Command] = {}
    for command in COMMANDS:
        if command.name in without:
            continue
        usual = command.letter_keys if has_letters else command.keys
        for key in _chosen(own, command.name, of_classes) or usual:
            if key in found:
                raise ConfigError(
                    f"label.keys: '{found[key].name}' and '{command.name}' both have the key "
                    f"'{key}'; give one of them another"
                )
            found[key] = command
    return found


def check_name(name: str, known: Iterable[str]) -> None:
    """Refuse a name of a command that nobody knows.

    Raises:
        ConfigError: It is not among ``known``.
    """
    names = sorted(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
        raise ConfigError(f"label.keys: no command is called '{name}'; {hint}")


def _chosen(own: OwnKeys, name: str, of_classes: set[str]) -> list[str]:
    return [key for key in chosen_keys(own, name) if key not in of_classes]


def chosen_keys(own: OwnKeys, name: str) -> list[str]:
    """Return the operator's keys for a command; empty: the usual ones.

    Raises:
        ConfigError: One of them is no key, or means something that cannot be changed.
    """
    keys = own.commands.get(name, ())
    keys = [keys] if isinstance(keys, str) else [*keys]
    for key in keys:
        if key in _RESERVED:
            raise ConfigError(f"label.keys.{name}: {key} {_RESERVED[key]} and means nothing else")
        is_character = len(key) == 1 and key.isprintable() and key != " "
        if not is_character and not _NAMED.fullmatch(key):
            raise ConfigError(
                f"label.keys.{name}: '{key}' is no key; write one character, or a name as "
                "space, enter, f2, ctrl+z"
            )
        if key in DIGITS:
            raise ConfigError(f"label.keys.{name}: digits are for classes; choose another key")
    return keys


def _single_keys(
    classes: Sequence[ClassRecord],
    commands: dict[str, Command],
    free: Sequence[str],
    known: Mapping[ClassUid, str],
) -> dict[ClassUid, str]:
    free = [key for key in free if key not in commands]
    chosen = _own_keys(classes, commands)
    taken = set(chosen.values())
    names = {c.uid: show(c.name).casefold() for c in classes}
    natural = {c.uid: _natural(names[c.uid]) for c in classes}  # 7 for 7, and for seven
    for wished in (known, natural):
        for c in classes:
            key = wished.get(c.uid, "")
            if c.uid not in chosen and key in free and key not in taken:
                chosen[c.uid] = key
                taken.add(key)
    if all(letter in free for letter in HOME_ROW):
        initials = [name[:1] for name in names.values()]
        for c in classes:
            first = names[c.uid][:1]
            is_unique = initials.count(first) == 1 and first in HOME_ROW and first not in taken
            if c.uid not in chosen and is_unique:
                chosen[c.uid] = first
                taken.add(first)
    rest = iter(key for key in free if key not in taken)
    return {c.uid: chosen.get(c.uid) or next(rest) for c in classes}


def _own_keys(classes: Sequence[ClassRecord], commands: dict[str, Command]) -> dict[ClassUid, str]:
    owner: dict[str, ClassRecord] = {}
    for c in classes:
        if not c.key:
            continue
        if c.key in commands:
            raise UsageError(
                f"class '{c.name}' has the key '{c.key}', which means "
                f"'{commands[c.key].title}' here; give the class another key or none"
            )
        if c.key in owner:
            raise UsageError(
                f"classes '{owner[c.key].name}' and '{c.name}' both have the key "
                f"'{c.key}'; give one of them another key"
            )
        if len(c.key) != 1 or not c.key.isprintable() or c.key == " ":
            raise UsageError(f"class '{c.name}' has the key '{c.key}'; a key is one character")
        owner[c.key] = c
    return {c.uid: key for key, c in owner.items()}


def _natural(name: str) -> str:
    """The key a class name is itself: ``7`` for 7 and for seven, ``k`` for k; else empty."""
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
