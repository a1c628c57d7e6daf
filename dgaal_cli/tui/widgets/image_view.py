"""The image on the screen and its frame."""

from collections.abc import Sequence

from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from dgaal_cli.tui import theme
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.prefetch import Picture
from dgaal_cli.tui.widgets.captions import unreadable
from dgaal_cli.tui.widgets.lines import (
    DOUBLE_BOX,
    ROUND_BOX,
    Piece,
    Pieces,
    box_bottom,
    box_top,
    line,
    width_of,
)
from dgaal_cli.tui.widgets.rows import Rows

EDGE_ROWS = 2


class ImageView(Widget):
    """Shows strips of its own width, or centered lines of text; no border, no padding."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._strips: Sequence[Strip] = ()
        self._lines: Sequence[Pieces] = ()
        self.is_sent = True
        """Whether the compositor has read the current content."""

    def show_strips(self, strips: Sequence[Strip]) -> None:
        """Show an image; strips must be as wide as the widget."""
        if strips is self._strips and not self._lines:
            return
        self._strips, self._lines = strips, ()
        self.send_again()

    def show_lines(self, lines: Sequence[Pieces]) -> None:
        """Show text instead of an image, centered."""
        if lines == self._lines and not self._strips:
            return
        self._strips, self._lines = (), lines
        self.send_again()

    def show_picture(self, picture: Picture | None, keymap: Keymap) -> None:
        """Show an image, or why it is not shown yet or cannot be shown."""
        if picture is None:
            self.show_lines(((("loading image …", theme.DIM),),))
        elif picture.error:
            self.show_lines(unreadable(picture.error, self.size.width, keymap))
        else:
            self.show_strips(picture.strips)

    def send_again(self) -> None:
        """Send the current content again, even if unchanged."""
        self.is_sent = False
        self.refresh()

    @property
    def has_image(self) -> bool:
        """Whether strips are shown rather than text."""
        return bool(self._strips)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return rows of ``crop``, without Textual's slow box model."""
        self.is_sent = True
        width, height = self.size
        rows = [self._row(y, width, height) for y in range(crop.y, crop.bottom)]
        return [row.crop(crop.x, crop.right) for row in rows]

    def _row(self, y: int, width: int, height: int) -> Strip:
        if self._strips and y < len(self._strips) and self._strips[y].cell_length == width:
            return self._strips[y]
        strip = self._text_row(y, width, height)
        for line_filter in self.get_line_filters():  # NO_COLOR; images handle it by their mode
            if not isinstance(line_filter, ANSIToTruecolor):
                strip = strip.apply_filter(line_filter, self.styles.background)
        return strip

    def _text_row(self, y: int, width: int, height: int) -> Strip:
        if self._lines:
            index = y - max(0, (height - len(self._lines)) // 2)
            if 0 <= index < len(self._lines):
                pieces = self._lines[index]
                indent = max(0, (width - max(map(width_of, self._lines))) // 2)
                return line(width, ((" " * indent, theme.BASE), *pieces))
        return Strip.blank(width, theme.BASE)


class Frame(Rows):
    """Border around the image, and caption lines below it."""

    def show_frame(
        self,
        *,
        title: str = "",
        mark: str,
        note: str,
        is_synthetic: bool,
        captions: Sequence[tuple[Piece, ...]],
        edge: int = 1,
    ) -> None:
        """Draw the border; pool and synthetic images differ in title, shape and color.

        Without an ``edge`` above and below, title and mark are the start of the captions.
        """
        width, height = self.size
        if width < 4 or height < 2 * edge + len(captions) + 1:
            return
        box = DOUBLE_BOX if is_synthetic else ROUND_BOX
        style = theme.SYNTHETIC if is_synthetic else theme.POOL
        title_style = theme.SYNTHETIC_TITLE if is_synthetic else theme.POOL_TITLE
        title = title or ("◇ SYNTHETIC IMAGE ◇" if is_synthetic else "POOL IMAGE")
        titles: list[Piece] = [(f" {title} ", title_style)]
        if mark:
            titles.append((f"{mark} ", theme.WARN))
        side = line(width, ((box[3], style),), ((box[3], style),))
        if not edge:
            notable = titles if is_synthetic else titles[1:]
            first = line(
                width, (*notable, *captions[0]), ((f" {note} ", theme.DIM),) if note else ()
            )
            rest = [line(width, tuple(pieces)) for pieces in captions[1:]]
            self.show_rows([*[side] * (height - len(captions)), first, *rest])
            return
        self.show_rows(
            [
                box_top(width, tuple(titles), style, box=box),
                *[side] * (height - EDGE_ROWS - len(captions)),
                box_bottom(width, ((f" {note} ", theme.DIM),) if note else (), style, box=box),
                *(line(width, tuple(pieces)) for pieces in captions),
            ]
        )
