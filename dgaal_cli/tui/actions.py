"""Actions of the grid, review and round screens and their keys, shown in footer and help.

Class keys take precedence: a key that is or starts a class code does nothing else. Actions that
also are commands of the label screen have the same keys, also custom ones. The other actions accept
custom keys under names such as ``grid.confirm``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dgaal_cli.errors import ConfigError
from dgaal_cli.ids import ClassUid
from dgaal_cli.tui.keymap import CODE_S, Keymap, OwnKeys, check_name, chosen_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action of a screen."""

    name: str
    title: str
    """One or two words for the footer."""
    explanation: str
    keys: tuple[str, ...] = ()
    """Empty: the keys of the label screen's command with that name."""
    spoken: str = ""
    """Text for the keys in the footer; empty: the first key."""


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
        explanation="label the unmarked images with their guesses",
        keys=("enter",),
        spoken="⏎",
    ),
    Action(
        name="wrong",
        title="Wrong",
        explanation="mark or unmark the image: the label screen asks it",
        keys=("space",),
    ),
    Action(
        name="move",
        title="Move",
        explanation="go to another image of the page",
        keys=("left", "right", "up", "down", "h", "l", "k", "j"),
        spoken="arrows",
    ),
    _HELP,
    Action(
        name="doubt",
        title="Doubtful",
        explanation="go to the least certain image, then the next",
        keys=("tab", "n"),
    ),
    _BACK,
    _CANNOT_TELL,
    Action(name="undo", title="Undo page", explanation="undo the last page"),
    Action(name="all", title="All wrong", explanation="mark the whole page", keys=("A", "a")),
    Action(
        name="unsure",
        title="Unsure too",
        explanation="also show guesses below 60 %",
        keys=("C", "c"),
    ),
    Action(name="larger", title="Larger", explanation="larger images", keys=("+",)),
    Action(name="smaller", title="Smaller", explanation="smaller images", keys=("-",)),
    Action(name="next", title="Next", explanation="the next page", keys=("]", "pagedown")),
    Action(
        name="previous", title="Previous", explanation="the previous page", keys=("[", "pageup")
    ),
    _SEARCH,
)
REVIEW = (
    Action(
        name="move",
        title="Move",
        explanation="go to another answer",
        keys=("up", "down", "k", "j", "pageup", "pagedown", "home", "end"),
        spoken="↑↓",
    ),
    replace(_CANNOT_TELL, title="Can't"),
    _BACK,
    _HELP,
    Action(
        name="flag",
        title="Flag",
        explanation="flag or unflag the answer",
        keys=("f", "*"),  # f may be the key of a class
    ),
    Action(name="class", title="Class", explanation="answers of one class only", keys=("C",)),
    Action(name="flagged", title="Flags", explanation="flagged answers only", keys=("F",)),
    Action(
        name="differs",
        title="Differs",
        explanation="answers that differ from the model",
        keys=("D",),
    ),
    Action(
        name="hinted",
        title="Hinted",
        explanation="answers given while the guess was shown",
        keys=("H",),
    ),
    _SEARCH,
)
ROUNDS = (
    Action(
        name="go",
        title="Next",
        explanation="label the open query, or train the next round",
        keys=("enter",),
        spoken="⏎",
    ),
    Action(
        name="label",
        title="Back",
        explanation="go to the label screen",
        keys=("escape", "q", "h", "H"),
        spoken="Esc",
    ),
    Action(name="train", title="Train", explanation="finish the round now", keys=("t", "T")),
    Action(
        name="synthesize",
        title="Synthesize",
        explanation="ask synthetic images near the class boundary; junk = can't tell",
        keys=("s", "S"),
    ),
    Action(name="method", title="Method", explanation="method of the next rounds", keys=("m", "M")),
    Action(name="size", title="Query size", explanation="images per query", keys=("n", "N")),
    replace(_HELP, keys=("?", "f1")),
    Action(name="review", title="Review", explanation="review answers", keys=("r", "R")),
    Action(name="grid", title="Grid", explanation="confirm guesses page by page", keys=("g", "G")),
    Action(
        name="export",
        title="Export",
        explanation="export the trained networks to files",
        keys=("e", "E"),
    ),
)


SCREENS: Mapping[str, tuple[Action, ...]] = {"grid": GRID, "review": REVIEW, "rounds": ROUNDS}


def live_actions(screen: str, keymap: Keymap) -> tuple[Action, ...]:
    """Return the actions of a screen with their keys, without the keys of classes."""
    own = {action.name: _custom_keys(screen, action, keymap.own) for action in SCREENS[screen]}
    taken = {key for keys in own.values() for key in keys}
    found: list[Action] = []
    for action in SCREENS[screen]:
        defaults = action.keys or keymap.keys_of(action.name)
        keys = [
            *own[action.name],
            *(key for key in defaults if _is_active(key, own[action.name], taken)),
        ]
        if screen != "rounds":  # the round screen has no class keys
            keys = [k for k in keys if k not in keymap.codes and not keymap.starts_code(k)]
        is_renamed = bool(own[action.name]) and keys[:1] == own[action.name][:1]
        found.append(replace(action, keys=tuple(keys), spoken="" if is_renamed else action.spoken))
    return tuple(found)


def check_screen_keys(own: OwnKeys) -> None:
    """Check the custom keys of the grid, review and round screens.

    Raises:
        ConfigError: A screen or command is unknown, a key is used twice, or the keys are fixed.
    """
    for full_name in own.commands:
        if "." in full_name:
            check_name(full_name, [_full_name(s, a) for s, known in SCREENS.items() for a in known])
    for screen, known in SCREENS.items():
        found: dict[str, str] = {}
        for action in known:
            name = _full_name(screen, action)
            keys = chosen_keys(own, name)
            if keys and action.name == "move":
                raise ConfigError(f"label.keys: the keys of '{name}' are fixed")
            for key in keys:
                if key in found:
                    raise ConfigError(
                        f"label.keys: '{found[key]}' and '{name}' both have the key '{key}'; "
                        "choose another key for one of them"
                    )
                found[key] = name


def _custom_keys(screen: str, action: Action, own: OwnKeys) -> list[str]:
    """Return the custom keys of an action, or of the label screen's command with that name."""
    return chosen_keys(own, _full_name(screen, action)) or (
        [] if action.keys else chosen_keys(own, action.name)
    )


def _full_name(screen: str, action: Action) -> str:
    return f"{screen}.{action.name}"


def _is_active(key: str, own: Sequence[str], taken: set[str]) -> bool:
    """Whether a default key of an action stays active; Esc always does."""
    return key == "escape" or (not own and key not in taken)


def action_of(actions: Sequence[Action], key: str) -> str:
    """Return the name of a key's action; empty if it has none."""
    return next((action.name for action in actions if key in action.keys), "")


class ClassKeys:
    """Reads class codes of one or two keys."""

    def __init__(self, keymap: Keymap, clock: Callable[[], float]) -> None:
        self._keymap = keymap
        self._clock = clock
        self._first = ""
        self._first_at = 0.0

    @property
    def prefix(self) -> str:
        """The first key of a two-key code, until the second key or a timeout."""
        return self._first if self._clock() - self._first_at < CODE_S else ""

    def take(self, key: str) -> ClassUid | bool:
        """Process a key; return the class it completes, or whether it is part of a code."""
        prefix, self._first = self.prefix, ""
        uid = self._keymap.codes.get(prefix + key)
        if uid is not None:
            return uid
        if not prefix and self._keymap.starts_code(key):
            self._first, self._first_at = key, self._clock()
            return True
        return bool(prefix)
