"""Which key means what: commands, and a key for every class, without a collision.

Up to 10 classes take digits and leave letters to commands. 11 to 36 take digits and letters, and
commands move to capitals and punctuation. Up to 400 take two keys. Above that only search is left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dgaal_cli.errors import UsageError
from dgaal_cli.harmless import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord

DIGITS = "1234567890"
HOME_ROW = "asdfghjklqwertyuiopzxcvbnm"
GROUP_KEYS = "asdfgqwertzxcvb12345"
MEMBER_KEYS = "jklhuiopynm67890asdf"
MOST_LETTERS = 36
MOST_CODES = len(GROUP_KEYS) * len(MEMBER_KEYS)
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
        explanation="take the last answer back, again and again, also after a restart",
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
        explanation="show or hide the model's guess; each label records which it was",
        group="View",
        keys=("p",),
        letter_keys=("P",),
    ),
    Command(
        name="learner",
        title="Learner",
        explanation="guesses and order that learn from this round's answers, or as queried",
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
        explanation="confirm guesses by the page: mark the wrong ones, Enter takes the rest",
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
class Keymap:
    """The live meaning of keys; footer and help are drawn from it."""

    commands: dict[str, Command]
    """By key."""
    codes: dict[str, ClassUid]
    """By key, or by two keys in a row."""
    code_of: dict[ClassUid, str] = field(default_factory=dict[ClassUid, str])

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


def make_keymap(classes: Sequence[ClassRecord], *, without: Iterable[str] = ()) -> Keymap:
    """Give every class a key.

    Args:
        classes: In the order of the screen.
        without: Commands to leave out.

    Raises:
        UsageError: A class asks for a key that a command or another class has.
    """
    is_letters = len(classes) > len(DIGITS)
    left_out = set(without)
    commands = {
        key: command
        for command in COMMANDS
        if command.name not in left_out
        for key in (command.letter_keys if is_letters else command.keys)
    }
    if len(classes) <= MOST_LETTERS:
        code_of = _single_keys(classes, commands, is_letters=is_letters)
    elif len(classes) <= MOST_CODES:
        code_of = _two_keys(classes)
    else:
        code_of = {}
    return Keymap(
        commands=commands,
        codes={code: uid for uid, code in code_of.items()},
        code_of=code_of,
    )


def spell_key(key: str) -> str:
    """How a key is written in footer and help."""
    return _SPOKEN.get(key, key)


def _single_keys(
    classes: Sequence[ClassRecord], commands: dict[str, Command], *, is_letters: bool
) -> dict[ClassUid, str]:
    free = [*DIGITS, *(HOME_ROW if is_letters else "")]
    chosen = _own_keys(classes, commands)
    taken = set(chosen.values())
    names = {c.uid: show(c.name).casefold() for c in classes}
    if all(_natural(names[c.uid]) for c in classes):
        for c in classes:  # classes that are numbers or single letters: 7 stays 7
            key = _natural(names[c.uid])
            if c.uid not in chosen and key in free and key not in taken:
                chosen[c.uid] = key
                taken.add(key)
    if is_letters:
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
                f"class '{show(c.name)}' has the key '{show(c.key)}', which means "
                f"'{commands[c.key].title}' here; give the class another key or none"
            )
        if c.key in owner:
            raise UsageError(
                f"classes '{show(owner[c.key].name)}' and '{show(c.name)}' both have the key "
                f"'{show(c.key)}'; give one of them another key"
            )
        if len(c.key) != 1 or not c.key.isprintable() or c.key == " ":
            raise UsageError(
                f"class '{show(c.name)}' has the key '{show(c.key)}'; a key is one character"
            )
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
