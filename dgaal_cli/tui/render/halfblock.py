"""Convert pixels to rows of cells: color codes and the ANSI text that shows them.

A row is built in tens of microseconds: unchanged colors are not repeated and no style objects are
created. ``strips.py`` converts rows to Textual strips.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.render.fit import Fitted, Pixels
from dgaal_cli.tui.render.placeholders import Tile

UPPER_HALF = "▀"
ASCII_RAMP = " .:-=+*#%@"
RESET = "\x1b[0m"

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One row of cells: a color code for the upper and the lower half of each cell."""

    top: tuple[int, ...]
    bottom: tuple[int, ...]
    """Color codes: 0xRRGGBB, or a palette number, or (ASCII) a character's code point."""
    mode: Mode
    ansi: str
    """The whole row as terminal output."""
    tile: Tile | None = None

    def crop(self, start: int, end: int) -> "CellRow":
        """Return cells ``start`` (inclusive) to ``end`` (exclusive)."""
        row = make_row(self.top[start:end], self.bottom[start:end], self.mode)
        if self.tile is None:
            return row
        tile = dataclasses.replace(self.tile, column=self.tile.column + start)
        return dataclasses.replace(row, ansi=tile.text(len(row.top)), tile=tile)


def build(fitted: Fitted, mode: Mode) -> list[CellRow]:
    """Convert a fitted image to rows of cells.

    Args:
        fitted: ``pixels`` is (2 * rows, columns, 3).
        mode: Image mode of the terminal.

    Returns:
        ``rows`` rows of ``columns`` cells each.
    """
    if mode is Mode.ASCII:
        return _ascii_rows(fitted)
    codes = encode_colors(fitted.pixels, mode).tolist()
    return [make_row(tuple(codes[y]), tuple(codes[y + 1]), mode) for y in range(0, len(codes), 2)]


def make_row(top: tuple[int, ...], bottom: tuple[int, ...], mode: Mode) -> CellRow:
    """Build one row from its color codes."""
    if mode is Mode.ASCII:
        ansi = "".join(map(chr, top))
    else:
        ansi = _row_ansi(top, bottom, _palette_parameter if is_palette(mode) else _rgb_parameter)
    return CellRow(top=top, bottom=bottom, mode=mode, ansi=ansi)


def encode_colors(pixels: Pixels, mode: Mode) -> Codes:
    """Convert (H, W, 3) pixels to (H, W) color codes of ``mode``."""
    wide = pixels.astype(np.int64)
    if mode in (Mode.GRAY, Mode.GRAY256):
        luma = (wide @ np.array([299, 587, 114]) + 500) // 1000
        wide = np.repeat(luma[:, :, None], 3, axis=2)
    if mode in (Mode.HALF256, Mode.GRAY256):
        return _palette_numbers(wide)
    if mode is Mode.HALF5:
        wide = (wide & 0xF8) | (wide >> 5)
    return (wide[:, :, 0] << 16) | (wide[:, :, 1] << 8) | wide[:, :, 2]


def is_palette(mode: Mode) -> bool:
    """Return whether color codes of ``mode`` are 256-color palette numbers."""
    return mode in (Mode.HALF256, Mode.GRAY256)


def _row_ansi(top: tuple[int, ...], bottom: tuple[int, ...], code: Callable[[int], str]) -> str:
    """Build a row; ``code`` converts a color code to the text after ``38;`` or ``48;``."""
    out: list[str] = []
    front = back = -1
    for upper, lower in zip(top, bottom, strict=True):
        if lower != back:
            out.append(f"\x1b[48;{code(lower)}m")
            back = lower
        if upper == lower:  # a space needs no foreground color: half the bytes
            out.append(" ")
            continue
        if upper != front:
            out.append(f"\x1b[38;{code(upper)}m")
            front = upper
        out.append(UPPER_HALF)
    out.append(RESET)
    return "".join(out)


@lru_cache(maxsize=65536)
def _rgb_parameter(code: int) -> str:
    return f"2;{code >> 16};{code >> 8 & 255};{code & 255}"


def _palette_parameter(code: int) -> str:
    return f"5;{code}"


def _palette_numbers(wide: Codes) -> Codes:
    """Nearest color of the 6 x 6 x 6 cube and the 24 grays, by squared distance."""
    levels = np.array([0, 95, 135, 175, 215, 255])
    step = np.searchsorted((levels[:-1] + levels[1:]) / 2, wide)  # (H, W, 3)
    cube_error = ((levels[step] - wide) ** 2).sum(axis=2)
    gray = np.clip((wide.sum(axis=2) // 3 - 3) // 10, 0, 23)
    gray_error = (((8 + 10 * gray)[:, :, None] - wide) ** 2).sum(axis=2)
    cube = 16 + 36 * step[:, :, 0] + 6 * step[:, :, 1] + step[:, :, 2]
    return np.where(gray_error < cube_error, 232 + gray, cube)


def _ascii_rows(fitted: Fitted) -> list[CellRow]:
    luma = fitted.pixels.astype(np.int64) @ np.array([299, 587, 114]) // 1000
    mean = (luma[0::2] + luma[1::2]) // 2  # (rows, columns)
    steps = np.minimum(mean * len(ASCII_RAMP) // 256, len(ASCII_RAMP) - 1)
    steps[~(fitted.inside[0::2] | fitted.inside[1::2])] = 0
    ramp = np.array([ord(character) for character in ASCII_RAMP])
    rows = [tuple(row) for row in ramp[steps].tolist()]
    return [make_row(row, row, Mode.ASCII) for row in rows]
