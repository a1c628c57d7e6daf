"""File names that control a terminal, break markup or run in a spreadsheet."""

import re

NAMES: dict[str, bytes] = {
    "OSC 52, BEL": b"osc52\x1b]52;c;RVZJTA==\x07.png",
    "OSC 52, ST": b"osc52\x1b]52;c;RVZJTA==\x1b\\.png",
    "OSC 8": b"\x1b]8;;http:evil\x07link\x1b]8;;\x07.png",
    "CSI": b"csi\x1b[31;7;5m\x1b[2J.png",
    "DCS": b"dcs\x1bP+q544e\x1b\\.png",
    "C1 in UTF-8": "c1\u009b31;7;5m\u009d52;c;eA==\u009c.png".encode(),
    "C1 as a byte": b"c1\x9b2J.png",
    "no UTF-8": b"caf\xff\xe9.png",
    "line feed": b"line\nfeed\rreturn\ttab.png",
    "bidi": "photo\u202egnp.exe\u2066.png".encode(),
    "zero width": "zero\u200b\u200d\ufeffwidth.png".encode(),
    "line separator": "line\u2028sep\u2029.png".encode(),
    "markup": b"[bold red]x[/bold red].png",
    "closing markup": b"[/x].png",
    "open markup": b"[b +.png",
    "link markup": b"[link=file:evil]x.png",
    "action markup": b"[@click=app.quit]x[-].png",
    "formula": b"=cmd|' C'!A0.png",
    "at": b"@SUM(1+1).png",
    "minus": b"-rf.png",
    "plus": "\uff1d1+1.png".encode(),
    "quote": b"'quoted\".png",
    "backslash": b"\\u{1b}\\x9b.png",
    "delete": b"del\x7f\x08\x08.png",
    "long": b"x" * 251 + b".png",
    "wide": "\u56f3\U0001f600.png".encode(),
    "percent": b"%s%n{0}$(id)`id`;&.png",
}

_RAW = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
MARKS = (
    *(b"\x1b]52", b"\x1b]8;", b"\x1bP+q", b"\x1b[31;7;5m", b"\xc2\x9b", b"\xc2\x9d", b"\xc2\x9c"),
    *(b"\x9b2J", b"caf\xff", b"\xe2\x80\xae", b"\xe2\x81\xa6", b"\xe2\x80\x8b", b"\xef\xbb\xbf"),
    *(b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"del\x7f", b"line\nfeed", b"line\rfeed", b"feed\rreturn"),
)
"""Byte sequences of the names that have an effect in a terminal."""


def raw_controls(data: bytes) -> list[str]:
    """Return excerpts around control characters other than line ends."""
    try:
        text = data.replace(b"\r\n", b"\n").decode()
    except UnicodeDecodeError as error:
        return [repr(data[max(0, error.start - 20) : error.start + 20])]
    return [
        repr(text[max(0, found.start() - 20) : found.end() + 20]) for found in _RAW.finditer(text)
    ]


def raw_marks(data: bytes) -> list[bytes]:
    """Return the marks in the output of a terminal, which has escape sequences itself."""
    return [mark for mark in MARKS if mark in data]
