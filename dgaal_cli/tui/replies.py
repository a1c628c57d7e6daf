"""Remove replies of the terminal from keyboard input, whole or in parts.

Textual 8 reads a reply that is late, or split by a slow connection, as key presses: "6", "2", "2",
"c", which would become labels. So a sequence passes only when it is complete and known to Textual;
Textual would read an unknown sequence as single characters.
"""

from collections.abc import Callable

ESC = "\x1b"
LONE_ESCAPE_S = 0.1
"""An escape character without further input for this time is the Esc key."""
SILENCE_S = 0.3
"""An incomplete sequence ends after this time without input."""
_PASTE_START, _PASTE_END = "\x1b[200~", "\x1b[201~"
_STRINGS = "]P_^X"
"""After ESC: start of a control string that ends with BEL or ESC backslash."""
_STRAY = "[]P_^X\\"
"""Shortly after an Esc key: start of the rest of a split reply."""


class ReplyCutter:
    """A filter on decoded text; times are seconds on the caller's clock."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        """Start without input; ``is_known`` checks whether Textual knows a complete sequence."""
        self._is_known = is_known
        self._held = ""
        """An incomplete sequence."""
        self._is_lost = False
        """The held sequence is the rest of a reply whose start was read as the Esc key."""
        self._is_paste = False
        self._tail = ""
        self._read_at = float("-inf")
        self._escape_at = float("-inf")

    def feed(self, text: str, now: float) -> str:
        """Process input after ``tick``; return the text for Textual."""
        self._read_at = now
        return "".join([self._take(character, now) for character in text])

    def tick(self, now: float) -> bool:
        """Return True once for an Esc key; drop an incomplete sequence after a timeout."""
        if self._held == ESC and now - self._read_at >= LONE_ESCAPE_S:
            self._held = ""
            self._escape_at = self._read_at
            return True
        if self._held and now - self._read_at >= SILENCE_S:
            self._held, self._is_lost = "", False
        return False

    def _take(self, character: str, now: float) -> str:
        if self._is_paste:
            self._tail = (self._tail + character)[-len(_PASTE_END) :]
            self._is_paste = self._tail != _PASTE_END
            return character
        if self._held:
            return self._continue(character)
        if character == ESC:
            self._held = ESC
            return ""
        if character in _STRAY and now - self._escape_at < SILENCE_S:
            self._held, self._is_lost = ESC + character, True
            return ""
        return character

    def _continue(self, character: str) -> str:
        held = self._held
        if held == ESC and character == ESC:
            return ESC + ESC  # two Esc keys
        if held[1:2] in tuple(_STRINGS) and len(held) > 1:
            # Only the last character is needed to find the end; the string is not kept.
            is_end = character == "\x07" or (held[-1] == ESC and character == "\\")
            self._held = "" if is_end else held[:2] + character
            self._is_lost = self._is_lost and not is_end
            return ""
        if character == ESC:  # a new sequence; the old one was incomplete
            self._held, self._is_lost = ESC, False
            return ""
        self._held = held + character
        return self._complete() if self._is_complete() else ""

    def _is_complete(self) -> bool:
        held = self._held
        if held[1] in _STRINGS:
            return False
        if held[1] == "[":
            return len(held) > 2 and "\x40" <= held[-1] <= "\x7e"
        return held[1] != "O" or len(held) > 2

    def _complete(self) -> str:
        sequence, is_lost = self._held, self._is_lost
        self._held, self._is_lost = "", False
        if is_lost or len(sequence) == 2:  # Alt with a character is not a key
            return ""
        if sequence == _PASTE_START:
            self._is_paste, self._tail = True, ""
            return sequence
        return sequence if self._is_known(sequence) else ""
