"""Keymap: every class has a key, and no class key shadows a command."""

import re
import string

import pytest

from dgaal_cli.config.load import build_config
from dgaal_cli.errors import ConfigError, UsageError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui.keymap import COMMANDS, MAX_CODES, OwnKeys, make_keymap, moved_keys


def classes(*names: str, keys: dict[str, str] | None = None) -> list[ClassRecord]:
    return [
        ClassRecord(uid=ClassUid(f"u{i}"), name=name, key=(keys or {}).get(name, ""), position=i)
        for i, name in enumerate(names)
    ]


def keys_by_name(records, keymap) -> dict[str, str]:
    return {c.name: keymap.code_of[c.uid] for c in records}


def test_up_to_ten_classes_use_digits_with_zero_last():
    records = classes(*(f"c{i}" for i in range(10)))
    assert "".join(make_keymap(records).code_of.values()) == "1234567890"


@pytest.mark.parametrize(
    "names",
    [
        [str(i) for i in range(10)],
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    ],
)
def test_digit_classes_use_their_digit(names):
    records = classes(*names)
    assert list(keys_by_name(records, make_keymap(records)).values()) == list("0123456789")


def test_digit_classes_keep_their_digit_next_to_another_class():
    records = classes("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "ten")
    found = keys_by_name(records, make_keymap(records))
    assert all(found[str(digit)] == str(digit) for digit in range(10))
    assert found["ten"] == "s"  # t is a command


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("count", range(36))
def test_added_class_moves_no_key_of_a_class_or_command(count, is_restarted):
    names = [f"{chr(ord('a') + i % 26)}{i} kind" for i in range(count + 1)]
    before = make_keymap(classes(*names[:count]))
    after = make_keymap(classes(*names), known=None if is_restarted else before.code_of)
    assert before.code_of.items() < after.code_of.items()
    assert moved_keys(before, after) == []


def test_class_that_asks_for_the_letter_of_a_command_gets_it():
    names = [f"kind {i}" for i in range(11)]
    found = make_keymap(classes(*names, keys={"kind 10": "u"}))
    assert found.code_of[ClassUid("u10")] == "u"
    assert found.keys_of("undo") == (".", "backspace")


def test_change_to_two_key_codes_moves_all_classes():
    many = classes(*(f"kind {i}" for i in range(37)))
    before = make_keymap(many[:36])
    moved = moved_keys(before, make_keymap(many, known=before.code_of))
    assert set(before.codes) <= set(moved)


def test_letter_classes_use_their_letter():
    records = classes(*string.ascii_uppercase)
    found = keys_by_name(records, make_keymap(records))
    assert all(key == name.lower() for name, key in found.items())


def test_classes_after_the_tenth_use_their_initial_if_it_is_free():
    names = [*(f"kind {i}" for i in range(10)), "dog", "fox", "deer"]
    found = keys_by_name(classes(*names), make_keymap(classes(*names)))
    assert found["dog"] == "d"
    assert found["fox"] == "s"  # f is a command
    assert found["deer"] not in ("d", "s")


@pytest.mark.parametrize("count", [0, 1, 2, 10, 11, 26, 35, 36, 37, 100, 399, 400])
def test_every_class_has_its_own_key_that_is_not_a_command(count):
    records = classes(*(f"class {i}" for i in range(count)))
    keymap = make_keymap(records)
    assert len(set(keymap.code_of.values())) == count
    assert {len(code) for code in keymap.codes} <= ({1} if count <= 36 else {2})
    for code in keymap.codes:
        assert code[0] not in keymap.commands
        assert code[-1] not in keymap.commands


def test_classes_beyond_max_codes_have_no_key():
    many = classes(*(f"c{i}" for i in range(MAX_CODES + 3)))
    keymap = make_keymap(many)
    assert {*keymap.code_of} == {c.uid for c in many[:MAX_CODES]}
    assert all(len(code) == 2 for code in keymap.codes)


def test_starts_code_recognizes_the_first_of_two_keys():
    keymap = make_keymap(classes(*(f"c{i}" for i in range(37))))
    assert keymap.starts_code("a")
    assert not keymap.starts_code("z")
    assert not make_keymap(classes("a", "b")).starts_code("1")


@pytest.mark.parametrize("key", ["x", "u", "?", "/"])
def test_class_key_that_shadows_a_command_is_refused(key):
    with pytest.raises(UsageError, match=r"class 'ship' has the key"):
        make_keymap(classes("ship", keys={"ship": key}))


def test_two_classes_cannot_share_a_key():
    with pytest.raises(UsageError, match="both have the key 's'"):
        make_keymap(classes("ship", "shoe", keys={"ship": "s", "shoe": "s"}))


@pytest.mark.parametrize("key", ["ab", "\x1b", " "])
def test_class_key_that_is_not_one_visible_character_is_refused(key):
    with pytest.raises(UsageError):
        make_keymap(classes("ship", keys={"ship": key}))


def test_configured_class_key_is_used_and_others_avoid_it():
    records = classes("ship", "shoe", keys={"shoe": "1"})
    assert keys_by_name(records, make_keymap(records)) == {"ship": "2", "shoe": "1"}


def test_error_escapes_control_characters_in_key():
    with pytest.raises(UsageError) as caught:
        make_keymap(classes("\x1b]52;x", keys={"\x1b]52;x": "\x1b"}))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("letters", [False, True])
def test_no_two_commands_share_a_key(letters):
    keys = [k for c in COMMANDS for k in (c.letter_keys if letters else c.keys)]
    assert len(keys) == len(set(keys))
    if letters:
        assert not set(keys) & set(string.ascii_lowercase + string.digits)


def own(commands: dict | None = None, classes: str = "") -> OwnKeys:
    return OwnKeys(commands=commands or {}, classes=classes)


def test_configured_keys_replace_the_default_keys_of_a_command():
    keymap = make_keymap(
        classes("a", "b"), own=own({"undo": "ctrl+z", "skip": ["n", "space"], "train": "f5"})
    )
    assert keymap.keys_of("undo") == ("ctrl+z",)
    assert keymap.keys_of("skip") == ("n", "space")
    assert "u" not in keymap.commands
    assert keymap.keys_of("accept") == ("enter",)


def test_classes_avoid_configured_keys_of_commands():
    keymap = make_keymap(classes(*(f"c{i}" for i in range(30))), own=own({"skip": ["s", "space"]}))
    assert keymap.keys_of("skip") == ("s", "space")
    assert not set(keymap.code_of.values()) & set(keymap.commands)


def test_configured_command_key_needed_by_two_key_codes_is_ignored():
    many = classes(*(f"c{i}" for i in range(40)))
    keymap = make_keymap(many, own=own({"skip": ["n", "space"], "undo": "n"}))
    assert keymap.keys_of("skip") == ("space",)
    assert keymap.keys_of("undo") == (".", "backspace")
    assert not set(keymap.code_of.values()) & set(keymap.commands)


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ({"undoo": "z"}, "did you mean 'undo'"),
        ({"undo": "z"}, "'undo' and 'smooth' both have the key 'z'"),
        ({"undo": "3"}, "digits are for classes"),
        ({"undo": "escape"}, "goes back"),
        ({"undo": "ctrl+m"}, "Enter"),
        ({"undo": ""}, "is not a key"),
        ({"undo": "\x1b]52"}, "is not a key"),
        ({"undo": ["ctrl+zz"]}, "is not a key"),
        ({"\x1b[2J": "n"}, "no command"),
    ],
)
def test_invalid_command_key_is_refused_with_the_reason(commands, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        make_keymap(classes("a", "b"), own=own(commands))
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("keys", ["&é\"'(-è_çà", "asdfgqwert", "jk"])
def test_configured_class_keys_are_used_in_order(keys):
    names = [f"c{i}" for i in range(len(keys))]
    keymap = make_keymap(classes(*names), own=own(classes=keys))
    assert "".join(keymap.code_of.values()) == keys
    assert not set(keys) & set(keymap.commands)
    assert keymap.keys_of("undo")


def test_class_beyond_the_configured_keys_uses_a_letter():
    keymap = make_keymap(classes("x0", "x1", "x2"), own=own(classes="jk"))
    assert len(set(keymap.code_of.values())) == 3
    assert {"j", "k"} < set(keymap.code_of.values())


@pytest.mark.parametrize("keys", ["aa", "a", "a b"])
def test_invalid_class_keys_are_refused(keys):
    demand = "two or more different visible characters"
    with pytest.raises(ConfigError, match=f"'label.class_keys' is {keys}; it must be {demand}"):
        build_config({"pool": {"source": "x"}, "label": {"class_keys": keys}})


def test_class_keys_with_a_command_key_are_refused():
    with pytest.raises(ConfigError, match="Help"):
        make_keymap(classes("a", "b"), own=own(classes="ab?"))


def test_keys_are_read_from_the_configuration():
    config = build_config(
        {"pool": {"source": "p"}, "label": {"keys": {"undo": "n", "skip": ["m", "space"]}}}
    )
    assert config.label.keys == {"undo": "n", "skip": ["m", "space"]}
    with pytest.raises(ConfigError, match=r"label\.keys"):
        build_config({"pool": {"source": "p"}, "label": {"keys": {"undo": 3}}})
