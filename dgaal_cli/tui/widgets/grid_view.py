"""All cells of the grid in one widget: framed thumbnails with their label to be."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.style import Style
from textual import events
from textual.strip import Strip

from dgaal_cli.ids import ClassUid
from dgaal_cli.tui import theme
from dgaal_cli.tui.bridge import QueryImage
from dgaal_cli.tui.grid import GridModel
from dgaal_cli.tui.prefetch import Picture
from dgaal_cli.tui.render.strips import join
from dgaal_cli.tui.widgets.lines import Piece, box_bottom, box_top, line
from dgaal_cli.tui.widgets.rows import Rows

SIDES = (6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64, 80, 100, 120)
"""Widths of a thumbnail in cells; its height is half of it."""
_MIN_CELLS = 10
"""Thumbnails shrink until a page holds this many,"""
_FULL_CELLS = 18
"""or this many if they are still at least ``_CLEAR_SIDE`` wide."""
_CLEAR_SIDE = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class CellShape:
    """Size of a cell, frame and caption included."""

    side: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.side + 2

    @property
    def height(self) -> int:
        """Rows: frame, image, caption, frame."""
        return self.side // 2 + 3

    def count(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of cells that fit."""
        return width // self.width, height // self.height


def shape_for(
    width: int, height: int, *, zoom: int = 0, images: int = _FULL_CELLS
) -> CellShape | None:
    """The largest cells that put enough images on a page.

    Args:
        width: Columns of the grid.
        height: Its rows.
        zoom: Steps by which the cells are larger or smaller.
        images: Images of all pages; if they are few, one page holds all of them.
    """
    fitting = [s for s in SIDES if min(CellShape(side=s).count(width, height)) >= 1]
    if not fitting:
        return None
    counts = {s: CellShape(side=s).count(width, height) for s in fitting}
    sizes = {s: columns * rows for s, (columns, rows) in counts.items()}
    many = [s for s in fitting if sizes[s] >= min(images, _FULL_CELLS) and s >= _CLEAR_SIDE]
    enough = [s for s in fitting if sizes[s] >= min(images, _MIN_CELLS)]
    best = max(many or enough or fitting[:1])
    at = min(max(fitting.index(best) + zoom, 0), len(fitting) - 1)
    return CellShape(side=fitting[at])


@dataclass(frozen=True, slots=True, kw_only=True)
class GridScene:
    """Content of the widget."""

    model: GridModel
    shape: CellShape
    picture: Callable[[QueryImage], Picture | None]
    class_text: Callable[[ClassUid | None], str]
    """Return key and name of a class, escaped."""


class GridView(Rows):
    """One widget for all cells; thumbnails stay raw ANSI."""

    def __init__(
        self, *, on_resized: Callable[[], object], on_clicked: Callable[[int, int], object]
    ) -> None:
        """Create the widget.

        Args:
            on_resized: Called when its size has changed.
            on_clicked: Receives column and row of a click, from 0.
        """
        super().__init__(id="grid")
        self._on_resized = on_resized
        self._on_clicked = on_clicked

    def on_click(self, event: events.Click) -> None:
        """Report a click of the first button."""
        event.stop()
        if event.button == 1:
            self._on_clicked(event.x, event.y)

    def on_resize(self) -> None:
        """Report the new size."""
        self._on_resized()

    def send_again(self) -> None:
        """Send all cells again, even unchanged ones."""
        self.is_sent = False
        self.refresh()


def grid_rows(scene: GridScene, width: int, height: int) -> list[Strip]:
    """Draw the page as rows of exactly ``width`` cells."""
    model, shape = scene.model, scene.shape
    cells = model.cells
    gap = Strip.blank(width - model.columns * shape.width, theme.BASE)
    empty = [Strip.blank(shape.width, theme.BASE)] * shape.height
    rows: list[Strip] = []
    for y in range(model.rows):
        drawn = [
            _cell(scene, cells[i], is_marked=i == model.at) if i < len(cells) else empty
            for i in range(y * model.columns, (y + 1) * model.columns)
        ]
        rows += [join([*(cell[k] for cell in drawn), gap]) for k in range(shape.height)]
    return rows[:height]


def _cell(scene: GridScene, image: QueryImage, *, is_marked: bool) -> list[Strip]:
    shape = scene.shape
    kind = scene.model.mark_of(image.item_id).kind
    frame = theme.POOL_TITLE if kind in ("guess", "none") else theme.WARN
    picture = _image(scene, image)
    is_selected = scene.model.is_selected(image.item_id)
    caption = _caption_line(scene, image, is_selected=is_selected)
    side = Strip.blank(1, theme.BASE)
    top = bottom = Strip.blank(shape.width, theme.BASE)
    if is_selected and not is_marked:
        top, bottom = line(shape.width, (("┌", frame),)), line(shape.width, (("└", frame),))
    if is_marked:
        side = line(1, (("│", frame),))
        top, bottom = box_top(shape.width, (), frame), box_bottom(shape.width, (), frame)
    return [top, *(join([side, part, side]) for part in (*picture, caption)), bottom]


def _image(scene: GridScene, image: QueryImage) -> list[Strip]:
    side = scene.shape.side
    picture = scene.picture(image)
    if picture is not None and len(picture.strips) == side // 2:
        return list(picture.strips)
    notice = "…" if picture is None else "no image"
    lines = [Strip.blank(side, theme.BASE)] * (side // 2)
    text = notice[:side].center(side)
    lines[side // 4] = line(side, ((text, theme.DIM if picture is None else theme.BAD),))
    return lines


def _caption_line(scene: GridScene, image: QueryImage, *, is_selected: bool) -> Strip:
    """The label to be, and the confidence of a guess, which a long name does not cut."""
    kind = scene.model.mark_of(image.item_id).kind
    share = ((f" {image.confidence:.0%}", theme.DIM),) if kind == "guess" else ()
    selected: tuple[Piece, ...] = (("◆ ", theme.GOOD),) if is_selected else ()
    return line(scene.shape.side, (*selected, *_caption(scene, image)), share)


def _caption(scene: GridScene, image: QueryImage) -> tuple[Piece, ...]:
    """The label that the image will get; never shown by color alone."""
    mark = scene.model.mark_of(image.item_id)
    guess = scene.class_text(image.predicted)
    if mark.kind == "wrong":
        return (("x ", theme.BAD), (guess, theme.BAD + Style(strike=True)))
    if mark.kind == "cannot_tell":
        return (("✗ can't tell", theme.WARN),)
    if mark.kind == "label":
        return (("→ ", theme.WARN), (scene.class_text(mark.class_uid), theme.WARN))
    if mark.kind == "none":
        return (("no guess", theme.DIM),)
    return ((guess, theme.BASE),)
