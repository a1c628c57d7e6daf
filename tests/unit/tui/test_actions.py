"""Keys of the grid, review and rounds screens: defaults, configured keys and refused keys."""

import re
from collections.abc import Sequence

import pytest

from dgaal_cli.errors import ConfigError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui.actions import SCREENS, action_of, check_screen_keys, live_actions
from dgaal_cli.tui.keymap import Keymap, OwnKeys, make_keymap


def keymap(own: dict | None = None, names: Sequence[str] = "ab") -> Keymap:
    classes = [
        ClassRecord(uid=ClassUid(name), name=name, key="", position=position)
        for position, name in enumerate(names)
    ]
    return make_keymap(classes, own=OwnKeys(commands=own or {}))


@pytest.mark.parametrize("count", [0, 2, 10, 11, 20, 36, 37, 100, 400, 500])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_action_has_a_key_of_its_own(screen, count):
    actions = live_actions(screen, keymap(names=[f"class {at}" for at in range(count)]))
    assert [action.name for action in actions if not action.keys] == []
    keys = [key for action in actions for key in action.keys]
    assert len(keys) == len(set(keys))


def test_configured_keys_replace_the_default_keys_of_an_action():
    own = keymap({"grid.wrong": ["w", "f2"], "grid.next": "h", "undo": "n"})
    actions = live_actions("grid", own)
    assert [action_of(actions, key) for key in ("w", "f2", "space")] == ["wrong", "wrong", ""]
    assert [action_of(actions, key) for key in ("h", "l", "]")] == ["next", "move", ""]
    assert [action_of(actions, key) for key in ("n", "tab", "u")] == ["undo", "doubt", ""]


def test_shown_key_is_the_configured_key():
    shown = {a.name: a.spoken or a.keys[0] for a in live_actions("grid", keymap())}
    assert (shown["confirm"], shown["move"]) == ("⏎", "arrows")
    actions = live_actions("grid", keymap({"grid.confirm": "f5"}))
    shown = {action.name: action.spoken or action.keys[0] for action in actions}
    assert (shown["confirm"], shown["move"]) == ("f5", "arrows")


def test_escape_always_goes_back():
    assert action_of(live_actions("review", keymap({"review.leave": "f9"})), "escape") == "leave"
    assert action_of(live_actions("review", keymap({"review.leave": "f9"})), "f9") == "leave"
    assert action_of(live_actions("rounds", keymap({"rounds.label": "b"})), "escape") == "label"


def test_class_key_takes_precedence_over_a_configured_action_key():
    letters = "".join(chr(ord("d") + at) for at in range(20))
    on_letters = keymap({"grid.wrong": ["w", "f2"], "rounds.train": "w"}, letters)
    assert "w" in on_letters.codes
    actions = live_actions("grid", on_letters)
    assert [action_of(actions, key) for key in ("w", "f2")] == ["", "wrong"]
    # this screen has no class keys
    assert action_of(live_actions("rounds", on_letters), "w") == "train"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"grid.wrnog": "w"}, "did you mean 'grid.wrong'"),
        ({"gird.wrong": "w"}, "did you mean 'grid.wrong'"),
        ({"label.undo": "w"}, "no command is called 'label.undo'"),
        ({"grid.wrong": "w", "grid.next": "w"}, "'grid.wrong' and 'grid.next' both have the key"),
        ({"grid.move": "w"}, "the keys of 'grid.move' are fixed"),
        ({"review.flag": "7"}, "digits are for classes"),
        ({"rounds.train": "escape"}, "goes back"),
        ({"grid.wrong": "\x1b]52"}, "is not a key"),
    ],
)
def test_invalid_action_key_is_refused_with_the_reason(own, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        check_screen_keys(OwnKeys(commands=own))
    assert "\x1b" not in str(refused.value)
