"""A widget that is a list of ready strips and repaints only those that changed."""

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from dgaal_cli.tui import theme


class Rows(Widget):
    """Shows strips of its own width, one a row; has no border and no padding of its own."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._rows: list[Strip] = []

    def show_rows(self, rows: Sequence[Strip]) -> None:
        """Replace the rows; equal ones are not sent to the terminal again."""
        old, self._rows = self._rows, list(rows)
        count = max(len(old), len(self._rows))
        changed: list[int] = []
        for y in range(count):
            if y >= len(old) or y >= len(self._rows):
                changed.append(y)
            elif old[y] is self._rows[y] or old[y] == self._rows[y]:
                self._rows[y] = old[y]  # the old one has its bytes ready
            else:
                changed.append(y)
        if len(changed) == count or self.size.width == 0:
            self.refresh()
        elif changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """Return one row, or a blank one."""
        width = self.size.width
        if y < len(self._rows) and self._rows[y].cell_length == width:
            return self._rows[y]
        return Strip.blank(width, theme.BASE)
