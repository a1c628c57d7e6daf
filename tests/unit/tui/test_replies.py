"""Replies of the terminal are not key presses, even when they arrive in pieces."""

import pytest

from dgaal_cli.tui.driver import is_known
from dgaal_cli.tui.replies import ESC, ReplyCutter

REPLIES = [
    "\x1b[?62;4;22c",
    "\x1b[>41;354;0c",
    "\x1b]11;rgb:1111/2222/3333\x1b\\",
    "\x1b]52;c;MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMz\x07",
    "\x1bP>|xterm(354)\x1b\\",
    "\x1b_Gi=31;OK\x1b\\",
    "\x1b[99;1234;5678;1234;5678;1234;5678;1234m",
    "\x1b[1114112u",
]
KEYS = ["\x1b[A", "\x1bOP", "\x1b[1;5C", "\x1b[3~", "\x1b[200~3\x1b]5\x1b[201~", "\x1b[Z"]


class Line:
    """Feeds text to a `ReplyCutter` at fake times; collects keys and Esc presses."""

    def __init__(self) -> None:
        self.cutter = ReplyCutter(is_known)
        self.now = 100.0
        self.out = ""
        self.escapes = 0

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.05
            self.escapes += self.cutter.tick(self.now)

    def type(self, text: str) -> None:
        self.escapes += self.cutter.tick(self.now)
        self.out += self.cutter.feed(text, self.now)


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.15, 0.25])
@pytest.mark.parametrize("reply", REPLIES)
def test_reply_in_two_pieces_is_not_a_key(reply, gap):
    for cut in range(1, len(reply)):
        line = Line()
        line.type(reply[:cut])
        line.wait(gap)
        line.type(reply[cut:])
        assert line.out == "", cut
        line.wait(0.4)
        line.type("3")
        assert line.out == "3", cut


@pytest.mark.parametrize("reply", REPLIES)
def test_reply_in_single_characters_is_not_a_key(reply):
    line = Line()
    for character in reply:
        line.type(character)
        line.wait(0.2)
    assert line.out == ""


@pytest.mark.parametrize("keys", KEYS)
def test_keys_and_pastes_are_passed_unchanged(keys):
    for cut in range(1, len(keys)):
        line = Line()
        line.type("a" + keys[:cut])
        line.wait(0.05)
        line.type(keys[cut:] + "b")
        assert line.out == "a" + keys + "b", cut


def test_single_escape_character_is_one_esc_press():
    line = Line()
    line.type(ESC)
    assert (line.out, line.escapes) == ("", 0)
    line.wait(0.2)
    assert line.escapes == 1
    line.wait(1)
    line.type("[7")
    assert (line.out, line.escapes) == ("[7", 1)


def test_unfinished_reply_ends_after_a_pause():
    line = Line()
    line.type("\x1b]11;rgb")
    line.wait(0.2)
    line.type("8")
    line.wait(0.35)
    line.type("8")
    assert line.out == "8"


def test_reply_inside_a_paste_is_kept_and_after_it_removed():
    line = Line()
    line.type("\x1b[200~\x1b[?62;4;22c\x1b[201~\x1b[?62;4;22c7")
    assert line.out == "\x1b[200~\x1b[?62;4;22c\x1b[201~7"


def test_digit_with_alt_is_not_a_digit():
    line = Line()
    line.type("\x1b3")
    line.wait(0.4)
    line.type("4")
    assert line.out == "4"
