"""File names cannot send control codes to a terminal, and no cell is a spreadsheet formula."""

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
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
        ("c\u200dat", "c\\u{200d}at"),
        ("\u06cc\u200c", "\u06cc\\u{200c}"),
        ("\u06cc\u200c\u200c\u062e", "\u06cc\\u{200c}\\u{200c}\u062e"),
        ("\u06cc\u200b\u062e", "\u06cc\\u{200b}\u062e"),
    ],
)
def test_show_escapes_control_characters(name, shown):
    assert show(name) == shown


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
def test_show_returns_only_printable_characters(text):
    shown = show(text)
    assert all(c.isprintable() or ord(c) >= 0xA0 for c in shown)
    shown.encode()  # no surrogates left


ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=20)


@given(ANY_TEXT | st.from_regex(r"\A'?[=+]?(\\(x[0-9a-f]{2}|u\{[0-9a-f]{1,6}\})?)*\Z"))
def test_uncell_inverts_cell(text):
    assert uncell(cell(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\uff1d1", "'=1"])
def test_cell_does_not_start_with_a_formula_character(text):
    assert cell(text).startswith(("'", "\\u{"))
    assert not cell(text).startswith(("=", "+", "-", "@"))


def test_uncell_keeps_apostrophe_that_guards_no_formula():
    assert uncell("'hello") == "'hello"
    assert uncell("'=1") == "=1"


def test_cell_escapes_backslashes_that_look_like_escapes():
    assert cell("\\u{1b}") == "\\u{5c}u{1b}"
    assert uncell("\\u{110000}") == "\\u{110000}"
    assert uncell("C:\\x41") == "C:\\x41"


@given(st.lists(st.text() | st.sampled_from(["=x", "a\\x41", "'a", "plain", "", "\x1b["])))
def test_cells_equals_cell_for_each_name(names):
    assert list(cells(names)) == [cell(name) for name in names]
