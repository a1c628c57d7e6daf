"""Takes out of the keyboard's line what nobody typed: the terminal's replies, whole or in pieces.

A reply that comes late, or cut in two by a slow line, Textual 8 hands on as key presses: "6", "2",
"2", "c", labels that nobody gave. So no piece of a sequence is let through before it is whole, and
no sequence that Textual would type out because it does not know it.
"""

from collections.abc import Callable

ESC = "\x1b"
LONE_ESCAPE_S = 0.1
"""Alone for so long, an escape character is the Esc key."""
SILENCE_S = 0.3
"""So long without a byte, a broken sequence is over."""
_PASTE_BEGIN, _PASTE_END = "\x1b[200~", "\x1b[201~"
_STRINGS = "]P_^X"
"""After ESC: begin of a text for programs that ends with BEL or ESC backslash."""
_STRAY = "[]P_^X\\"
"""After an Esc key that came a moment ago: the rest of a reply that was cut there."""


class ReplyCutter:
    """A filter on decoded text; times are seconds on the caller's clock."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        """Begin with nothing heard.

        Args:
            is_known: Whether Textual understands a whole sequence; it types out all others.
        """
        self._is_known = is_known
        self._held = ""
        """A sequence that is not whole yet."""
        self._is_lost = False
        """The held sequence is the rest of a reply whose begin was taken for the Esc key."""
        self._is_paste = False
        self._tail = ""
        self._heard_at = float("-inf")
        self._escape_at = float("-inf")

    def feed(self, text: str, now: float) -> str:
        """Take what was read after ``tick``; return what Textual may see."""
        self._heard_at = now
        return "".join([self._take(character, now) for character in text])

    def tick(self, now: float) -> bool:
        """Tell once whether an escape character was the Esc key; end what has gone silent."""
        if self._held == ESC and now - self._heard_at >= LONE_ESCAPE_S:
            self._held = ""
            self._escape_at = self._heard_at
            return True
        if self._held and now - self._heard_at >= SILENCE_S:
            self._held, self._is_lost = "", False
        return False

    def _take(self, character: str, now: float) -> str:
        if self._is_paste:
            self._tail = (self._tail + character)[-len(_PASTE_END) :]
            self._is_paste = self._tail != _PASTE_END
            return character
        if self._held:
            return self._go_on(character)
        if character == ESC:
            self._held = ESC
            return ""
        if character in _STRAY and now - self._escape_at < SILENCE_S:
            self._held, self._is_lost = ESC + character, True
            return ""
        return character

    def _go_on(self, character: str) -> str:
        held = self._held
        if held == ESC and character == ESC:
            return ESC + ESC  # two Esc keys
        if held[1:2] in tuple(_STRINGS) and len(held) > 1:
            # Only the last character matters for the end of a text: nothing of it is kept.
            is_end = character == "\x07" or (held[-1] == ESC and character == "\\")
            self._held = "" if is_end else held[:2] + character
            self._is_lost = self._is_lost and not is_end
            return ""
        if character == ESC:  # a new sequence; the old one never became whole
            self._held, self._is_lost = ESC, False
            return ""
        self._held = held + character
        return self._whole() if self._is_whole() else ""

    def _is_whole(self) -> bool:
        held = self._held
        if held[1] in _STRINGS:
            return False
        if held[1] == "[":
            return len(held) > 2 and "\x40" <= held[-1] <= "\x7e"
        return held[1] != "O" or len(held) > 2

    def _whole(self) -> str:
        sequence, is_lost = self._held, self._is_lost
        self._held, self._is_lost = "", False
        if is_lost or len(sequence) == 2:  # Alt with a character: no key here, and no character
            return ""
        if sequence == _PASTE_BEGIN:
            self._is_paste, self._tail = True, ""
            return sequence
        return sequence if self._is_known(sequence) else ""
