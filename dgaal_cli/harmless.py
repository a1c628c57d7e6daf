"""The one way in which a text from outside may reach a screen, a log line, an error or an export.

File names, class names and manifest cells are data. Textual and Rich lay text out but do not
neutralize terminal escapes, so a file name could clear a screen or write the clipboard.
"""

import os
import re

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


def cell(text: str) -> str:
    """Return ``text`` as a CSV cell that no spreadsheet runs; ``uncell`` undoes it.

    Cells that begin with ``= + - @``, their full-width forms, a tab, a line break or an apostrophe
    get an apostrophe in front.
    """
    return f"'{text}" if text.startswith(_RUNS_IN_SPREADSHEETS) else text


def uncell(text: str) -> str:
    """Return the text that ``cell`` was given."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_RUNS_IN_SPREADSHEETS) else text
