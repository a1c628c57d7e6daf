"""Keys of the grid, the review and the rounds: as usual, the operator's own, and refused ones."""

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
        ClassRecord(uid=ClassUid(name), name=name, key="", position=at)
        for at, name in enumerate(names)
    ]
    return make_keymap(classes, own=OwnKeys(commands=own or {}))


@pytest.mark.parametrize("count", [0, 2, 10, 11, 20, 36, 37, 100, 400, 500])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_action_has_a_key_and_no_key_means_two_things(screen, count):
    actions = live_actions(screen, keymap(names=[f"class {at}" for at in range(count)]))
    assert [action.name for action in actions if not action.keys] == []
    keys = [key for action in actions for key in action.keys]
    assert len(keys) == len(set(keys))


def test_an_action_takes_the_keys_that_were_chosen_and_gives_up_its_own():
    own = keymap({"grid.wrong": ["w", "f2"], "grid.next": "h", "undo": "n"})
    actions = live_actions("grid", own)
    assert [action_of(actions, key) for key in ("w", "f2", "space")] == ["wrong", "wrong", ""]
    assert [action_of(actions, key) for key in ("h", "l", "]")] == ["next", "move", ""]
    assert [action_of(actions, key) for key in ("n", "tab", "u")] == ["undo", "doubt", ""]


def test_what_is_shown_is_the_chosen_key():
    shown = {a.name: a.spoken or a.keys[0] for a in live_actions("grid", keymap())}
    assert (shown["confirm"], shown["move"]) == ("⏎", "arrows")
    actions = live_actions("grid", keymap({"grid.confirm": "f5"}))
    shown = {action.name: action.spoken or action.keys[0] for action in actions}
    assert (shown["confirm"], shown["move"]) == ("f5", "arrows")


def test_escape_leads_back_whatever_was_chosen():
    assert action_of(live_actions("review", keymap({"review.leave": "f9"})), "escape") == "leave"
    assert action_of(live_actions("review", keymap({"review.leave": "f9"})), "f9") == "leave"
    assert action_of(live_actions("rounds", keymap({"rounds.label": "b"})), "escape") == "label"


def test_a_class_keeps_its_key_before_a_chosen_one():
    letters = "".join(chr(ord("d") + at) for at in range(20))
    on_letters = keymap({"grid.wrong": ["w", "f2"], "rounds.train": "w"}, letters)
    assert "w" in on_letters.codes
    actions = live_actions("grid", on_letters)
    assert [action_of(actions, key) for key in ("w", "f2")] == ["", "wrong"]
    assert action_of(live_actions("rounds", on_letters), "w") == "train"  # no class is named there


@pytest.mark.parametrize(
    ("own", "words"),
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
def test_a_key_that_cannot_be_is_refused_with_a_reason(own, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as told:
        check_screen_keys(OwnKeys(commands=own))
    assert "\x1b" not in str(told.value)
