"""A widget that shows a list of strips and repaints only changed ones."""

from collections.abc import Sequence
from functools import lru_cache

from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from dgaal_cli.tui import theme


@lru_cache(maxsize=8)
def blank(width: int) -> Strip:
    """Return an empty row, cached because a strip caches its crops."""
    return Strip.blank(width, theme.BASE)


class Covered(Widget):
    """A container that its children cover completely, so it draws nothing.

    Textual would draw its rows for every frame and then discard each cell.
    """

    def render_lines(self, crop: Region) -> list[Strip]:  # noqa: ARG002 - Textual's signature
        """Return no rows."""
        return []


class Rows(Widget):
    """Shows strips of its own width, one per row; no border, no padding."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._rows: list[Strip] = []
        self.is_sent = False
        """Whether the compositor has read the current rows."""

    def show_rows(self, rows: Sequence[Strip]) -> None:
        """Replace the rows; equal rows are not sent to the terminal again."""
        old, self._rows = self._rows, list(rows)
        count = max(len(old), len(self._rows))
        changed: list[int] = []
        for y in range(count):
            if y >= len(old) or y >= len(self._rows):
                changed.append(y)
            elif old[y] is self._rows[y] or old[y] == self._rows[y]:
                self._rows[y] = old[y]  # the old strip has cached its bytes
            else:
                changed.append(y)
        if changed:
            self.is_sent = False
        if len(changed) == count or self.size.width == 0:
            self.refresh()
        elif changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return rows of ``crop``, without Textual's slow box model."""
        self.is_sent = True
        width = self.size.width
        empty = blank(width)
        known = self._rows[crop.y : crop.bottom]
        rows = [row if row.cell_length == width else empty for row in known]
        rows += [empty] * (crop.height - len(rows))
        for line_filter in self.get_line_filters():
            if not isinstance(line_filter, ANSIToTruecolor):  # no row has a palette color
                rows = [row.apply_filter(line_filter, self.styles.background) for row in rows]
        if crop.x == 0 and crop.right == width:
            return rows
        return [row.crop(crop.x, crop.right) for row in rows]

    def render_line(self, y: int) -> Strip:
        """Return row ``y``, blank if there is none."""
        width = self.size.width
        if y < len(self._rows) and self._rows[y].cell_length == width:
            return self._rows[y]
        return blank(width)
