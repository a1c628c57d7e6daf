"""Convert pixels to rows of cells: glyphs, color codes and the ANSI text that shows them.

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
from dgaal_cli.tui.render.look import Glyphs
from dgaal_cli.tui.render.mosaic import characters, find_mosaic
from dgaal_cli.tui.render.placeholders import Tile

UPPER_HALF = "▀"
ASCII_RAMP = " .:-=+*#%@"
RESET = "\x1b[0m"

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One row of cells: a glyph, its color and the color behind it for each cell."""

    glyphs: str
    front: tuple[int, ...]
    back: tuple[int, ...]
    """Color codes: 0xRRGGBB, or a palette number; for ASCII unused."""
    mode: Mode
    ansi: str
    """The whole row as terminal output."""
    tile: Tile | None = None

    def crop(self, start: int, end: int) -> "CellRow":
        """Return cells ``start`` (inclusive) to ``end`` (exclusive)."""
        part = slice(start, end)
        row = make_row(self.glyphs[part], self.front[part], self.back[part], self.mode)
        if self.tile is None:
            return row
        tile = dataclasses.replace(self.tile, column=self.tile.column + start)
        return dataclasses.replace(row, ansi=tile.text(len(row.glyphs)), tile=tile)


def build(fitted: Fitted, mode: Mode) -> list[CellRow]:
    """Convert a fitted image to rows of cells.

    Args:
        fitted: ``pixels`` is (rows * h, columns * w, 3), where (w, h) is ``fitted.glyphs.grid``;
            half blocks for ASCII.
        mode: Image mode of the terminal.

    Returns:
        ``rows`` rows of ``columns`` cells each.
    """
    if mode is Mode.ASCII:
        return _ascii_rows(fitted)
    if fitted.glyphs is Glyphs.HALF:
        codes = encode_colors(fitted.pixels, mode)
        front, back = codes[0::2].tolist(), codes[1::2].tolist()
        shapes = [UPPER_HALF * len(row) for row in front]
    else:
        masks, *colors = find_mosaic(fitted.pixels, fitted.glyphs)
        front, back = (encode_colors(color, mode).tolist() for color in colors)
        known = characters(fitted.glyphs)
        shapes = ["".join(map(known.__getitem__, row)) for row in masks.tolist()]
    return [
        make_row(shape, tuple(over), tuple(under), mode)
        for shape, over, under in zip(shapes, front, back, strict=True)
    ]


def make_row(glyphs: str, front: tuple[int, ...], back: tuple[int, ...], mode: Mode) -> CellRow:
    """Build one row; a cell of one color becomes a space, which needs no color in front."""
    if mode is Mode.ASCII:
        return CellRow(glyphs=glyphs, front=front, back=back, mode=mode, ansi=glyphs)
    cells = zip(glyphs, front, back, strict=True)
    glyphs = "".join(" " if over == under else glyph for glyph, over, under in cells)
    parameter = _palette_parameter if is_palette(mode) else _rgb_parameter
    ansi = _row_ansi(glyphs, front, back, parameter)
    return CellRow(glyphs=glyphs, front=front, back=back, mode=mode, ansi=ansi)


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


def _row_ansi(
    glyphs: str, front: tuple[int, ...], back: tuple[int, ...], code: Callable[[int], str]
) -> str:
    """Build a row; ``code`` converts a color code to the text after ``38;`` or ``48;``."""
    out: list[str] = []
    over = under = -1
    for glyph, next_over, next_under in zip(glyphs, front, back, strict=True):
        if next_under != under:
            out.append(f"\x1b[48;{code(next_under)}m")
            under = next_under
        if glyph != " " and next_over != over:
            out.append(f"\x1b[38;{code(next_over)}m")
            over = next_over
        out.append(glyph)
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
    rows = ["".join(map(ASCII_RAMP.__getitem__, row)) for row in steps.tolist()]
    return [make_row(row, (0,) * len(row), (0,) * len(row), Mode.ASCII) for row in rows]
