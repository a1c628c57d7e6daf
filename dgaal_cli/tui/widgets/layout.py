"""Where the label screen puts the image, its captions and the panel.

The image gets the space that the panel does not need, up to 3:2, the shape of most photographs.
"""

from dataclasses import dataclass

from rich.cells import cell_len

from dgaal_cli.escaping import show
from dgaal_cli.tui.widgets.scene import Scene

FRAMED_FROM = 30
"""Terminal rows from which the image has a border and a third caption line."""
MIN_PANEL, MAX_PANEL = 16, 72
GROUPS = 30
"""Columns of a panel that lists the groups of two-key codes."""
BARS = 2
"""Rows of the status line and the key bar."""
_ROOMY = 36
"""Columns that the boxes of the round, the accuracy and the last answers need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes in cells."""

    frame: int
    """Columns of the image with its border or sides."""
    rows: int
    """Rows of the image."""
    captions: int
    """Caption lines below the image."""
    edge: int
    """Rows of the border above and below the image, each: 0 or 1."""
    side: int
    """Columns of the border at each side of the image: 0 or 1."""

    @property
    def room(self) -> tuple[int, int]:
        """Columns and rows of the image."""
        return self.frame - 2 * self.side, self.rows

    @property
    def margin(self) -> tuple[int, int, int, int]:
        """Space around the image: top, right, bottom, left."""
        return self.edge, self.side, self.edge + self.captions, self.side


def lay_out(
    width: int,
    height: int,
    *,
    panel_need: int,
    min_panel: int = MIN_PANEL,
    is_alone: bool = False,
) -> Layout:
    """Divide a terminal of ``width`` x ``height`` cells, at least 40 x 12."""
    if is_alone:
        return Layout(frame=width, rows=height - BARS - 1, captions=1, edge=0, side=0)
    edge = int(height >= FRAMED_FROM)
    captions = 2 + edge
    rows = height - BARS - captions - 2 * edge
    panel = max(min_panel, min(panel_need, round(0.45 * width) - 18))
    widest = max(3 * rows, 4 * MIN_PANEL) + 2
    frame = max(min(width - panel, widest), width - MAX_PANEL)
    return Layout(frame=frame, rows=rows, captions=captions, edge=edge, side=1)


def min_panel(scene: Scene, width: int) -> int:
    """Return the least columns of the panel: more under a dialog and for groups of classes."""
    least = MIN_PANEL
    if scene.keymap.is_two_key:
        least = min(GROUPS, width // 2)
    return max(least, min(max(round(0.43 * width), 24), 60)) if scene.is_finding else least


def panel_need(scene: Scene, rows: int) -> int:
    """Return the columns with which the panel shows each class name whole, if ``rows`` are few."""
    names = [cell_len(show(c.name)) for c in scene.view.classes]
    longest = max(names, default=0)
    columns = -(-len(names) // max(1, rows - 2))
    need = 21 + longest if columns < 2 or scene.keymap.is_two_key else 4 + columns * (longest + 6)
    return min(max(need, _ROOMY), MAX_PANEL)
