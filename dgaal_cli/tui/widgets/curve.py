"""A learning curve (accuracy against labels) in braille dots, in a few rows of text."""

from collections.abc import Sequence
from itertools import pairwise

from rich.style import Style

from dgaal_cli.tui import theme
from dgaal_cli.tui.widgets.lines import Piece

_DOT_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_AXIS_WIDTH = 5


def curve_lines(
    points: Sequence[tuple[int, float]],
    *,
    width: int,
    height: int,
    max_labels: int,
    baseline: Sequence[tuple[int, float]] = (),
) -> list[list[Piece]]:
    """Draw a learning curve.

    Args:
        points: (labels, accuracy 0..1), by labels.
        width: Cells per line.
        height: Lines, at least 3; the last is the axis.
        max_labels: Right end of the axis; 0 means the last point.
        baseline: Points of another curve, drawn as unconnected rings.

    Returns:
        ``height`` lines of pieces.
    """
    columns, rows = width - _AXIS_WIDTH - 1, height - 1
    worst = min((accuracy for _, accuracy in (*points, *baseline)), default=0.5)
    low = min(0.9, max(0.0, int(worst * 10 + 1e-9) / 10))  # in tenths, so the curve fills its box
    first = points[0][0] if points else 0
    baseline = [point for point in baseline if point[0] >= first]
    last = max([max_labels, *(labels for labels, _ in (*points, *baseline)), first + 1])
    canvas = _Canvas(columns, rows)

    def to_dots(labels: int, accuracy: float) -> tuple[int, int]:
        x = (labels - first) / (last - first) * (2 * columns - 2)
        y = (1 - (accuracy - low) / (1 - low)) * (4 * rows - 1)
        return round(x), round(y)

    dots = [to_dots(*point) for point in points]
    for start, end in pairwise(dots):
        canvas.connect(start, end)
    lines = [_axis_label(y, rows, low) + canvas.pieces(y) for y in range(rows)]
    for x, y in (to_dots(*point) for point in baseline):
        _put(lines[min(y // 4, rows - 1)], _AXIS_WIDTH + 1 + x // 2, "○", width, theme.WARN)
    for x, y in dots:
        _put(lines[min(y // 4, rows - 1)], _AXIS_WIDTH + 1 + x // 2, "●", width)
    if points:
        _caption(lines, dots[-1], points[-1][1], rows=rows, width=width)
    left, right = f"└{first} ", f" {last}"
    rule = "─" * max(0, width - _AXIS_WIDTH - len(left) - len(right))
    lines.append([(" " * _AXIS_WIDTH + left, theme.AXIS), (rule, theme.FAINT), (right, theme.AXIS)])
    return lines


def _axis_label(y: int, rows: int, low: float) -> list[Piece]:
    text = ""
    if y == 0:
        text = "100%"
    elif y == rows - 1:
        text = f"{low:.0%}"
    elif y == rows // 2 and rows >= 5:
        text = f"{1 - (1 - low) * (y + 0.5) / rows:.0%}"
    return [(text.rjust(_AXIS_WIDTH), theme.AXIS), ("│", theme.AXIS)]


def _caption(
    lines: list[list[Piece]], dot: tuple[int, int], accuracy: float, *, rows: int, width: int
) -> None:
    text = f"{accuracy:.1%}"
    column = _AXIS_WIDTH + 1 + dot[0] // 2
    row = min(dot[1] // 4, rows - 1)
    if column + 2 + len(text) <= width:
        start = column + 2
    else:
        start = max(_AXIS_WIDTH + 1, width - len(text))
        row = row + 1 if row + 1 < rows else max(0, row - 1)
    _put(lines[row], start, text, width)


def _put(
    pieces: list[Piece], column: int, text: str, width: int, style: Style = theme.CURVE_POINT
) -> None:
    """Overwrite cells of one line; all characters are one cell wide."""
    cells = [(character, style) for part, style in pieces for character in part]
    for offset, character in enumerate(text):
        if column + offset < min(len(cells), width):
            cells[column + offset] = (character, style)
    pieces[:] = cells


class _Canvas:
    """A grid of braille dots, 2 x 4 per cell."""

    def __init__(self, columns: int, rows: int) -> None:
        self._bits = [[0] * columns for _ in range(rows)]

    def connect(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            x = round(start[0] + (end[0] - start[0]) * step / steps)
            y = round(start[1] + (end[1] - start[1]) * step / steps)
            self._bits[y // 4][x // 2] |= _DOT_BITS[x % 2][y % 4]

    def pieces(self, y: int) -> list[Piece]:
        text = "".join(chr(0x2800 + bits) if bits else " " for bits in self._bits[y])
        return [(text, theme.CURVE)]
