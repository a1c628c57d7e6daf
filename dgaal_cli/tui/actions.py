"""What the screens beside the label screen can do, and by which keys: footer and help follow it.

Keys of a class come first: a letter that is one, or begins one, does nothing else. Where these
screens share a command with the label screen, they share its keys, the operator's own too; their
other commands take keys of the operator's choice under names as ``grid.confirm``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dgaal_cli.errors import ConfigError
from dgaal_cli.ids import ClassUid
from dgaal_cli.tui.keymap import CODE_S, Keymap, OwnKeys, check_name, chosen_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a screen can do."""

    name: str
    title: str
    """One or two words for the footer."""
    explanation: str
    keys: tuple[str, ...] = ()
    """Empty: those of the command of that name on the label screen."""
    spoken: str = ""
    """How the footer writes the keys, if not as the first of them."""


_HELP = Action(name="help", title="Help", explanation="this page")
_SEARCH = Action(name="search", title="Find", explanation="find a class by a part of its name")
_BACK = Action(
    name="leave", title="Back", explanation="go back", keys=("escape", "q", "Q"), spoken="Esc"
)
_CANNOT_TELL = Action(name="cannot_tell", title="Can't tell", explanation="no class fits")

GRID = (
    Action(
        name="confirm",
        title="Confirm page",
        explanation="what is not marked becomes a label with its guess",
        keys=("enter",),
        spoken="⏎",
    ),
    Action(
        name="wrong",
        title="Wrong",
        explanation="mark the image, or not: the label screen asks it",
        keys=("space",),
    ),
    Action(
        name="move",
        title="Move",
        explanation="to another image of the page",
        keys=("left", "right", "up", "down", "h", "l", "k", "j"),
        spoken="arrows",
    ),
    _HELP,
    Action(
        name="doubt",
        title="Doubtful",
        explanation="to the least sure image, then the next",
        keys=("tab", "n"),
    ),
    _BACK,
    _CANNOT_TELL,
    Action(name="undo", title="Undo page", explanation="take the last page back"),
    Action(name="all", title="All wrong", explanation="mark the whole page", keys=("A", "a")),
    Action(
        name="unsure",
        title="Unsure too",
        explanation="offer guesses below 60 % as well",
        keys=("C", "c"),
    ),
    Action(name="larger", title="Larger", explanation="larger images", keys=("+",)),
    Action(name="smaller", title="Smaller", explanation="smaller images", keys=("-",)),
    Action(name="next", title="Next", explanation="the next page", keys=("]", "pagedown")),
    Action(name="previous", title="Previous", explanation="the page before", keys=("[", "pageup")),
    _SEARCH,
)
REVIEW = (
    Action(
        name="move",
        title="Move",
        explanation="to another answer",
        keys=("up", "down", "k", "j", "pageup", "pagedown", "home", "end"),
        spoken="↑↓",
    ),
    replace(_CANNOT_TELL, title="Can't"),
    _BACK,
    _HELP,
    Action(
        name="flag",
        title="Flag",
        explanation="flag the answer for later, or not",
        keys=("f", "*"),  # with classes on letters f is one of them, or begins one
    ),
    Action(name="class", title="Class", explanation="answers of one class only", keys=("C",)),
    Action(name="flagged", title="Flags", explanation="flagged answers only", keys=("F",)),
    Action(
        name="differs", title="Differs", explanation="answers that the model denies", keys=("D",)
    ),
    Action(
        name="hinted",
        title="Hinted",
        explanation="answers that were given with the guess in sight",
        keys=("H",),
    ),
    _SEARCH,
)
ROUNDS = (
    Action(
        name="go",
        title="Go on",
        explanation="label the open query, or train the next round",
        keys=("enter",),
        spoken="⏎",
    ),
    Action(
        name="label",
        title="Back",
        explanation="to the label screen",
        keys=("escape", "q", "h", "H"),
        spoken="Esc",
    ),
    Action(name="train", title="Train", explanation="finish the round now", keys=("t", "T")),
    Action(
        name="synthesize",
        title="Synthesize",
        explanation="ask images that the generator draws at the class boundary",
        keys=("s", "S"),
    ),
    Action(name="method", title="Method", explanation="of the next rounds", keys=("m", "M")),
    Action(name="size", title="Query size", explanation="images a query", keys=("n", "N")),
    replace(_HELP, keys=("?", "f1")),
    Action(name="review", title="Review", explanation="look at answers again", keys=("r", "R")),
    Action(name="grid", title="Grid", explanation="confirm guesses by the page", keys=("g", "G")),
    Action(
        name="export",
        title="Export",
        explanation="write the trained networks to files for other machines",
        keys=("e", "E"),
    ),
)


SCREENS: Mapping[str, tuple[Action, ...]] = {"grid": GRID, "review": REVIEW, "rounds": ROUNDS}


def live(screen: str, keymap: Keymap) -> tuple[Action, ...]:
    """The actions of a screen with the keys that they have beside those of the classes."""
    own = {action.name: _own(screen, action, keymap.own) for action in SCREENS[screen]}
    taken = {key for keys in own.values() for key in keys}
    found: list[Action] = []
    for action in SCREENS[screen]:
        usual = action.keys or keymap.keys_of(action.name)
        keys = [*own[action.name], *(key for key in usual if _stays(key, own[action.name], taken))]
        if screen != "rounds":  # No class is named there.
            keys = [k for k in keys if k not in keymap.codes and not keymap.starts_code(k)]
        is_renamed = bool(own[action.name]) and keys[:1] == own[action.name][:1]
        found.append(replace(action, keys=tuple(keys), spoken="" if is_renamed else action.spoken))
    return tuple(found)


def check_screen_keys(own: OwnKeys) -> None:
    """Refuse keys of the operator's choice that no screen could follow.

    Raises:
        ConfigError: Names no screen or command, gives a key twice, or to what keeps its keys.
    """
    for full_name in own.commands:
        if "." in full_name:
            check_name(full_name, [_full(s, a) for s, known in SCREENS.items() for a in known])
    for screen, known in SCREENS.items():
        found: dict[str, str] = {}
        for action in known:
            name = _full(screen, action)
            keys = chosen_keys(own, name)
            if keys and action.name == "move":
                raise ConfigError(
                    f"label.keys: '{name}' keeps its keys, the arrows and their letters"
                )
            for key in keys:
                if key in found:
                    raise ConfigError(
                        f"label.keys: '{found[key]}' and '{name}' both have the key '{key}'; "
                        "give one of them another"
                    )
                found[key] = name


def _own(screen: str, action: Action, own: OwnKeys) -> list[str]:
    """The operator's keys of an action, or of the label screen's command that it shares."""
    return chosen_keys(own, _full(screen, action)) or (
        [] if action.keys else chosen_keys(own, action.name)
    )


def _full(screen: str, action: Action) -> str:
    return f"{screen}.{action.name}"


def _stays(key: str, own: Sequence[str], taken: set[str]) -> bool:
    """Whether a usual key of an action stays its own: Esc always leads back."""
    return key == "escape" or (not own and key not in taken)


def name_of(actions: Sequence[Action], key: str) -> str:
    """The action of a key; empty if it has none."""
    return next((action.name for action in actions if key in action.keys), "")


class ClassKeys:
    """Reads the classes' keys, of one or two characters, on screens without commands of letters."""

    def __init__(self, keymap: Keymap, clock: Callable[[], float]) -> None:
        self._keymap = keymap
        self._clock = clock
        self._first = ""
        self._first_at = 0.0

    @property
    def prefix(self) -> str:
        """The first key of two, while the second may follow."""
        return self._first if self._clock() - self._first_at < CODE_S else ""

    def take(self, key: str) -> ClassUid | bool:
        """Take a key: the class it completes, or whether it is part of a code at all."""
        prefix, self._first = self.prefix, ""
        uid = self._keymap.codes.get(prefix + key)
        if uid is not None:
            return uid
        if not prefix and self._keymap.starts_code(key):
            self._first, self._first_at = key, self._clock()
            return True
        return bool(prefix)
