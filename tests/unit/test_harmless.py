"""Names from outside cannot steer a terminal, and no cell can run in a spreadsheet."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgaal_cli.harmless import cell, show, uncell


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
    assert all(c.isprintable() or c == "\u00ad" or ord(c) > 0xA0 for c in shown)
    shown.encode()  # no surrogates left


@given(st.text(max_size=20))
def test_cells_come_back_as_they_were(text):
    assert uncell(cell(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\uff1d1", "'=1"])
def test_formulas_do_not_begin_a_cell(text):
    assert cell(text) == "'" + text
