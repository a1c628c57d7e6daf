r"""Names from outside as cells of a CSV or Parquet file: harmless on a screen, and reversible.

Control characters and undecodable bytes are spelled out as ``harmless.show`` does (``\x9b`` for a
byte, ``\u{1b}`` for a character); a backslash that would read as such a spelling becomes
``\u{5c}``. In CSV a cell that a spreadsheet might run as a formula gets a leading ``'``, and so
does one that begins with ``'`` already.
"""

import re

from dgaal_cli.harmless import show

_LOOKS_SPELLED = re.compile(r"\\(?=x[0-9a-f]{2}|u\{[0-9a-f]+\})")
_SPELLED = re.compile(r"\\x([0-9a-f]{2})|\\u\{([0-9a-f]{1,6})\}")
_RISKY = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")


def spell(text: str) -> str:
    """Spell out everything that could steer a terminal; ``unspell`` reverses it."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return show(_LOOKS_SPELLED.sub(r"\\u{5c}", text))


def unspell(cell: str) -> str:
    """Give back the text that ``spell`` was given."""
    return _SPELLED.sub(_character, cell)


def guard(cell: str) -> str:
    """Keep a spreadsheet from running a text as a formula; ``unguard`` reverses it."""
    return f"'{cell}" if cell.startswith(_RISKY) else cell


def unguard(cell: str) -> str:
    """Give back the text that ``guard`` was given."""
    return cell[1:] if cell.startswith("'") else cell


def _character(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(0xDC00 + int(match[1], 16))
    return chr(int(match[2], 16))
