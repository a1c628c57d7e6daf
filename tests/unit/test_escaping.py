"""Names from outside cannot steer a terminal, and no cell can run in a spreadsheet."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgaal_cli.escaping import cell, cells, show, uncell


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.png", "plain name.png"),
        ("bär 図.png", "bär 図.png"),
        ("\x1b]52;c;aGk=\x07", "\\u{1b}]52;c;aGk=\\u{7}"),
        ("\x9b2J", "\\u{9b}2J"),
        ("a\u202egnp.exe", "a\\u{202e}gnp.exe"),
        ("line\nbreak\ttab", "line\\u{a}break\\u{9}tab"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\xe9.png"),
        (b"caf\xe9.png", "caf\\xe9.png"),
    ],
)
def test_control_characters_are_spelled_out(name, shown):
    assert show(name) == shown


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
def test_nothing_that_is_shown_controls_a_terminal(text):
    shown = show(text)
    assert all(c.isprintable() or ord(c) >= 0xA0 for c in shown)
    shown.encode()  # no surrogates left


ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=20)


@given(ANY_TEXT | st.from_regex(r"\A'?[=+]?(\\(x[0-9a-f]{2}|u\{[0-9a-f]{1,6}\})?)*\Z"))
def test_cells_come_back_as_they_were(text):
    assert uncell(cell(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\uff1d1", "'=1"])
def test_formulas_do_not_begin_a_cell(text):
    assert cell(text).startswith(("'", "\\u{"))
    assert not cell(text).startswith(("=", "+", "-", "@"))


def test_a_foreign_apostrophe_stays_where_no_guard_was_needed():
    assert uncell("'hello") == "'hello"
    assert uncell("'=1") == "=1"


def test_a_file_name_that_looks_spelled_is_no_control_character():
    assert cell("\\u{1b}") == "\\u{5c}u{1b}"
    assert uncell("\\u{110000}") == "\\u{110000}"
    assert uncell("C:\\x41") == "C:\\x41"


@given(st.lists(st.text() | st.sampled_from(["=x", "a\\x41", "'a", "plain", "", "\x1b["])))
def test_many_cells_at_once_are_those_one_by_one(names):
    assert list(cells(names)) == [cell(name) for name in names]
