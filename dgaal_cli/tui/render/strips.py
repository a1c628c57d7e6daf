"""Rows of cells as Textual strips with prepared ANSI text and lazily created segments.

For whole strips, the compositor only calls ``strip.render()``, so an image costs a string copy.
Screenshots, dimming under a dialog and partial repaints read segments, which are created then.
This module overrides one private name of Textual (``Strip._segments``). If a Textual release works
differently, ``strip_of`` falls back to real segments: slower, but correct.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.render.halfblock import CellRow, is_palette


def strip_of(row: CellRow) -> Strip:
    """Return ``row`` as a strip, a ``RawStrip`` if this Textual version supports it."""
    return RawStrip(row) if _is_supported() else Strip(to_segments(row), len(row.glyphs))


def to_segments(row: CellRow) -> list[Segment]:
    """Return ``row`` as styled text, one segment per run of equal cells."""
    if row.mode is Mode.ASCII:
        return [Segment(row.glyphs)] if row.glyphs else []
    segments: list[Segment] = []
    cells = zip(row.glyphs, row.front, row.back, strict=True)
    for (glyph, front, back), run in groupby(cells):
        style = _style(back if glyph == " " else front, back, is_palette(row.mode))
        segments.append(Segment(glyph * len([*run]), style))
    return segments


class RawStrip(Strip):
    """A strip with prepared ANSI text; ``to_segments`` returns the equivalent segments."""

    __slots__ = ("_lazy", "_row")

    def __init__(self, row: CellRow) -> None:
        self._row = row
        self._lazy: list[Segment] | None = None
        super().__init__((), len(row.glyphs))

    @property
    def _segments(self) -> list[Segment]:
        if self._lazy is None:
            self._lazy = to_segments(self._row)
        return self._lazy

    @_segments.setter
    def _segments(self, value: Iterable[Segment]) -> None:
        """Textual's constructor assigns an empty list here."""

    @property
    def has_segments(self) -> bool:
        """Whether segments have been created."""
        return self._lazy is not None

    def __bool__(self) -> bool:
        return bool(self._row.glyphs)

    def render(self, console: Console) -> str:  # noqa: ARG002 - the mode defines the colors
        """Return the row's ANSI."""
        return self._row.ansi

    def crop(self, start: int, end: int | None = None) -> Strip:
        """Return a part as a strip of the same class."""
        start = max(0, start)
        end = self.cell_length if end is None else min(self.cell_length, end)
        if start == 0 and end == self.cell_length:
            return self
        return Strip([], 0) if end <= start else RawStrip(self._row.crop(start, end))

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Cut at cell positions and drop the cells after the last cut."""
        ends = [cut for cut in cuts if cut <= self.cell_length]
        return [self.crop(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


class JoinedStrip(Strip):  # noqa: PLW1641 - like Strip, compared but never hashed
    """Strips side by side; rendering joins the rendered parts."""

    __slots__ = ("_lazy", "_parts")

    def __init__(self, parts: Sequence[Strip]) -> None:
        self._parts = tuple(parts)
        self._lazy: list[Segment] | None = None
        super().__init__((), sum(part.cell_length for part in parts))

    @property
    def _segments(self) -> list[Segment]:
        if self._lazy is None:
            self._lazy = [segment for part in self._parts for segment in part]
        return self._lazy

    @_segments.setter
    def _segments(self, value: Iterable[Segment]) -> None:
        """Textual's constructor assigns an empty list here."""

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JoinedStrip) or len(self._parts) != len(other._parts):
            return NotImplemented
        pairs = zip(self._parts, other._parts, strict=True)
        return all(a is b or (not isinstance(a, RawStrip) and a == b) for a, b in pairs)

    def render(self, console: Console) -> str:
        """Return the concatenated ANSI of the parts."""
        return "".join(part.render(console) for part in self._parts)

    def crop(self, start: int, end: int | None = None) -> Strip:
        """Return the cells from ``start`` to ``end`` (exclusive)."""
        end = self.cell_length if end is None else min(self.cell_length, end)
        if start <= 0 and end == self.cell_length:
            return self
        kept: list[Strip] = []
        offset = 0
        for part in self._parts:
            first, last = max(start - offset, 0), min(end - offset, part.cell_length)
            if first < last:
                kept.append(part.crop(first, last))
            offset += part.cell_length
        return JoinedStrip(kept)

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Cut at cell positions and drop the cells after the last cut."""
        ends = [cut for cut in cuts if cut <= self.cell_length]
        return [self.crop(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def join(parts: Sequence[Strip]) -> Strip:
    """Join strips side by side, as a ``JoinedStrip`` if this Textual version supports it."""
    return JoinedStrip(parts) if _is_supported() else Strip.join(parts)


@lru_cache(maxsize=1)
def _is_supported() -> bool:
    """Test on one row all that Textual's compositor uses of a strip."""
    row = CellRow(glyphs=" ▀▀", front=(1, 2, 3), back=(1, 5, 6), mode=Mode.HALF, ansi="x")
    try:
        strip = RawStrip(row)
        expected = to_segments(row)
        halves = strip.divide([1, 3])
        return (
            strip.render(Console()) == "x"
            and strip.cell_length == len(row.glyphs)
            and not strip.has_segments
            and list(strip) == expected
            and Strip.join([strip]).text == strip.text
            and [half.cell_length for half in halves] == [1, 2]
        )
    except Exception:  # noqa: BLE001 - fall back on any change in Textual
        return False


@lru_cache(maxsize=65536)
def _style(front: int, back: int, is_number: bool) -> Style:  # noqa: FBT001 - hot and cached
    color = None if front == back else _color(front, is_number)
    return Style(color=color, bgcolor=_color(back, is_number))


def _color(code: int, is_number: bool) -> Color:  # noqa: FBT001 - hot and cached
    if is_number:
        return Color.from_ansi(code)
    return Color.from_rgb(code >> 16, code >> 8 & 255, code & 255)
