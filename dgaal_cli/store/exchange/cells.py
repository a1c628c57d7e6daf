r"""Names from outside as CSV cells: harmless on a screen and in a spreadsheet, and reversible.

Control characters and undecodable bytes are spelled out as ``harmless.show`` does (``\x9b``,
``\u{1b}``); a backslash that would read as such a spelling becomes ``\u{5c}``. A cell that a
spreadsheet might run as a formula gets a leading ``'``, and so does one that begins with ``'``.
"""

import re

from dgaal_cli.harmless import show

_LOOKS_SPELLED = re.compile(r"\\(?=x[0-9a-f]{2}|u\{[0-9a-f]{1,6}\})")
_SPELLED = re.compile(r"\\x([89a-f][0-9a-f])|\\u\{([0-9a-f]{1,6})\}")
_RISKY = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")


def encode(text: str) -> str:
    """Return the cell that stands for a text."""
    spelled = show(_LOOKS_SPELLED.sub(r"\\u{5c}", text))
    return f"'{spelled}" if spelled.startswith(_RISKY) else spelled


def decode(cell: str) -> str:
    """Return the text that ``encode`` was given."""
    return _SPELLED.sub(_character, cell[1:] if cell.startswith("'") else cell)


def readings(cell: str) -> tuple[str, ...]:
    """Return what a cell may mean, likeliest first: a foreign file does not spell or guard."""
    meant = decode(cell)
    return (meant,) if meant == cell else (meant, cell)


def _character(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(0xDC00 + int(match[1], 16))
    code = int(match[2], 16)
    return chr(code) if code < 0x110000 else match[0]
