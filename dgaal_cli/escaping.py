"""Escape untrusted text for the screen, log lines, error messages and exports.

File names, class names and manifest cells are data. Textual and Rich do not remove terminal
escapes, so a file name could clear the screen or write to the clipboard.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence

# C0 and C1 controls, zero-width and bidirectional controls, line separators, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def show(name: bytes | str) -> str:
    r"""Return ``name`` with all characters escaped that could control a terminal.

    Undecodable bytes become ``\xNN``, control characters ``\u{N}``. A joiner between letters of a
    script that uses it stays, as in Persian and Hindi words. Markup is not changed: widgets that
    parse markup need plain text objects.
    """
    text = os.fsdecode(name) if isinstance(name, bytes) else name
    return _UNSAFE.sub(_escape, text)


_JOINED = ("Lo", "Ll", "Lu", "Lm", "Mn", "Mc", "So", "Sk")
"""Categories of characters between which a joiner has a meaning: letters, marks and emoji."""


def without_joiners(text: str) -> str:
    """Return the text without ZWNJ and ZWJ, which are invisible."""
    return text.replace("\u200c", "").replace("\u200d", "")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in (0x200C, 0x200D) and _is_joined(match.string, match.start()):
        return match[0]
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: an undecodable byte of a file name
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{{{code:x}}}"


def _is_joined(text: str, at: int) -> bool:
    """Check that letters, their marks or pictures are on both sides, and none is ASCII."""
    beside = text[max(0, at - 1) : at], text[at + 1 : at + 2]
    return all(
        side and not side.isascii() and unicodedata.category(side) in _JOINED for side in beside
    )


_RUNS_IN_SPREADSHEETS = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
_LOOKS_SPELLED = re.compile(r"\\(?=x[89a-f][0-9a-f]|u\{[0-9a-f]{1,6}\})")
_SPELLED = re.compile(r"\\x([89a-f][0-9a-f])|\\u\{([0-9a-f]{1,6})\}")


def spell(text: str) -> str:
    r"""Escape ``text`` like ``show``, but reversibly: ``unspell`` returns the original.

    A backslash that looks like the start of an escape becomes ``\u{5c}``.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:  # most names
        return text
    return show(_LOOKS_SPELLED.sub(r"\\u{5c}", text))


def unspell(text: str) -> str:
    """Return the original of a text that ``spell`` escaped."""
    return _SPELLED.sub(_unescape, text)


def cell(text: str) -> str:
    """Return ``text`` as a CSV cell that is safe for terminals and spreadsheets.

    The text is escaped by ``spell``. If it then starts with ``= + - @``, their full-width forms, a
    tab, a line break or an apostrophe, it gets an apostrophe as prefix. ``uncell`` reverses both.
    """
    spelled = spell(text)
    return f"'{spelled}" if spelled.startswith(_RUNS_IN_SPREADSHEETS) else spelled


def cells(texts: Sequence[str]) -> Iterable[str]:
    """Return ``cell`` of every text; ordinary names are checked all at once."""
    joined = "".join(texts)
    is_plain = joined.isascii() and joined.isprintable() and "\\" not in joined
    if is_plain and {text[:1] for text in texts}.isdisjoint(_RUNS_IN_SPREADSHEETS):
        return texts
    return map(cell, texts)


def uncell(text: str) -> str:
    """Return the original of a text that ``cell`` escaped."""
    is_guarded = text[:1] == "'" and text[1:].startswith(_RUNS_IN_SPREADSHEETS)
    return unspell(text[1:] if is_guarded else text)


def separator_hint(header: Sequence[str]) -> str:
    """Return the end of a sentence about a CSV header that is separated by other characters."""
    other = next((mark for mark in ";\t|" if any(mark in name for name in header)), None)
    return f"; they seem to be separated by {other!r}, write commas" if other else ""


def _unescape(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(0xDC00 + int(match[1], 16))
    code = int(match[2], 16)
    return chr(code) if code < 0x110000 else match[0]
