"""The one way in which a text from outside may reach a screen, a log line, an error or an export.

File names, class names and manifest cells are data. Textual and Rich lay text out but do not
neutralize terminal escapes, so a file name could clear a screen or write the clipboard.
"""

import os
import re
from collections.abc import Iterable, Sequence

# C0 and C1 controls, zero-width and bidirectional controls, line separators, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def show(name: bytes | str) -> str:
    r"""Return ``name`` with everything that could steer a terminal spelled out.

    Undecodable bytes become ``\xNN``, control characters ``\u{N}``. Markup is not touched:
    widgets that parse markup must be given plain text objects.
    """
    text = os.fsdecode(name) if isinstance(name, bytes) else name
    return _UNSAFE.sub(_spell_out, text)


def _spell_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: an undecodable byte of a file name
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{{{code:x}}}"


_RUNS_IN_SPREADSHEETS = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
_LOOKS_SPELLED = re.compile(r"\\(?=x[89a-f][0-9a-f]|u\{[0-9a-f]{1,6}\})")
_SPELLED = re.compile(r"\\x([89a-f][0-9a-f])|\\u\{([0-9a-f]{1,6})\}")


def spell(text: str) -> str:
    r"""Return ``text`` as ``show`` does, but so that ``unspell`` gives it back.

    A backslash that would read as the beginning of a spelling becomes ``\u{5c}``.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:  # a pool's usual names
        return text
    return show(_LOOKS_SPELLED.sub(r"\\u{5c}", text))


def unspell(text: str) -> str:
    """Return the text that ``spell`` was given."""
    return _SPELLED.sub(_read_spelling, text)


def cell(text: str) -> str:
    """Return ``text`` as a CSV cell that steers no terminal and that no spreadsheet runs.

    It is spelled out; where it then begins with ``= + - @``, their full-width forms, a tab, a line
    break or an apostrophe, an apostrophe stands in front. ``uncell`` undoes both.
    """
    spelled = spell(text)
    return f"'{spelled}" if spelled.startswith(_RUNS_IN_SPREADSHEETS) else spelled


def cells(texts: Sequence[str]) -> Iterable[str]:
    """Return ``cell`` of every text; usual names are looked at all at once."""
    whole = "".join(texts)
    is_plain = whole.isascii() and whole.isprintable() and "\\" not in whole
    if is_plain and {text[:1] for text in texts}.isdisjoint(_RUNS_IN_SPREADSHEETS):
        return texts
    return map(cell, texts)


def uncell(text: str) -> str:
    """Return the text that ``cell`` was given."""
    is_guarded = text[:1] == "'" and text[1:].startswith(_RUNS_IN_SPREADSHEETS)
    return unspell(text[1:] if is_guarded else text)


def _read_spelling(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(0xDC00 + int(match[1], 16))
    code = int(match[2], 16)
    return chr(code) if code < 0x110000 else match[0]
