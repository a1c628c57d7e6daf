"""Actions of the grid, review and round screens and their keys, shown in footer and help.

Class keys take precedence: a key that is or starts a class code does nothing else. Actions that
also are commands of the label screen have the same keys, also custom ones. The other actions accept
custom keys under names such as ``grid.confirm``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dgaal_cli.errors import ConfigError
from dgaal_cli.ids import ClassUid
from dgaal_cli.tui.keymap import CODE_S, Action, Keymap, OwnKeys, check_name, chosen_keys


def _action(name: str, title: str, explanation: str, keys: str = "", spoken: str = "") -> Action:
    return Action(
        name=name, title=title, explanation=explanation, keys=tuple(keys.split()), spoken=spoken
    )


_HELP = _action("help", "Help", "this page")
_SEARCH = _action("search", "Find", "find a class by a part of its name")
_BACK = _action("leave", "Back", "go back", "escape q Q", "Esc")
_CANNOT_TELL = _action("cannot_tell", "Can't tell", "no class fits")

GRID = (
    _action(
        "confirm", "Confirm page", "label the unmarked images with their guesses", "enter", "⏎"
    ),
    _action(
        "select",
        "Select",
        "select the image, or not: a class key labels all selected ones",
        "s insert",
    ),
    _action("wrong", "Wrong", "mark or unmark the image: the label screen asks it", "space"),
    _action(
        "move", "Move", "go to another image of the page", "left right up down h l k j", "arrows"
    ),
    _HELP,
    _action("doubt", "Doubtful", "go to the least certain image, then the next", "tab n"),
    _BACK,
    _CANNOT_TELL,
    _action("undo", "Undo page", "undo the last page"),
    _action("all", "All wrong", "mark the guesses of the whole page; corrections stay", "A a"),
    _action("select_all", "Select all", "select the whole page, or nothing", "S ctrl+a"),
    _action("preview", "Preview", "show the image under the cursor large, or not", "v f3"),
    _action(
        "unsure",
        "All images",
        "also show images whose guess is below label.grid_floor, without a guess",
        "C c",
    ),
    _action("larger", "Larger", "larger images", "+"),
    _action("smaller", "Smaller", "smaller images", "-"),
    _action("next", "Next", "the next page", "] pagedown"),
    _action("previous", "Previous", "the previous page", "[ pageup"),
    _SEARCH,
)
REVIEW = (
    _action("move", "Move", "go to another answer", "up down k j pageup pagedown home end", "↑↓"),
    replace(_CANNOT_TELL, title="Can't"),
    _BACK,
    _HELP,
    _action("flag", "Flag", "flag or unflag the answer", "f *"),  # f may be the key of a class
    _action("class", "Class", "answers of one class only", "C"),
    _action("flagged", "Flags", "flagged answers only", "F"),
    _action("differs", "Differs", "answers that differ from the model", "D"),
    _action("hinted", "Hinted", "answers given while the guess was shown", "H"),
    _action("narrow", "Words", "list by a part of the file's name, by annotator or time", "N f2"),
    _SEARCH,
)
ROUNDS = (
    _action("go", "Next", "label the open query, or train the next round", "enter", "⏎"),
    _action("label", "Back", "go to the label screen", "escape q h H", "Esc"),
    _action("train", "Train", "finish the round now", "t T"),
    _action(
        "synthesize",
        "Synthesize",
        "ask synthetic images near the class boundary; junk = can't tell",
        "s S",
    ),
    _action("method", "Method", "method of the next rounds", "m M"),
    _action("size", "Query size", "images per query", "n N"),
    replace(_HELP, keys=("?", "f1")),
    _action("review", "Review", "review answers", "r R"),
    _action("grid", "Grid", "confirm guesses page by page", "g G"),
    _action("export", "Export", "export the trained networks to files", "e E"),
)
SCREENS: Mapping[str, tuple[Action, ...]] = {"grid": GRID, "review": REVIEW, "rounds": ROUNDS}


def live_actions(screen: str, keymap: Keymap) -> tuple[Action, ...]:
    """Return the actions of a screen with their keys, without the keys of classes."""
    own = {  # else those of the label screen's command with that name
        action.name: chosen_keys(keymap.own, f"{screen}.{action.name}")
        or ([] if action.keys else chosen_keys(keymap.own, action.name))
        for action in SCREENS[screen]
    }
    taken = {key for keys in own.values() for key in keys}
    found: list[Action] = []
    for action in SCREENS[screen]:
        keys = own[action.name].copy()
        for key in action.keys or keymap.keys_of(action.name):
            if key == "escape" or not (own[action.name] or key in taken):  # Esc is always active
                keys.append(key)
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
            check_name(full_name, [f"{s}.{a.name}" for s, known in SCREENS.items() for a in known])
    for screen, known in SCREENS.items():
        found: dict[str, str] = {}
        for action in known:
            name = f"{screen}.{action.name}"
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
