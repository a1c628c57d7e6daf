"""Lines of exact width from pieces of styled text, and boxes around them.

Text is plain: no markup is parsed, so a name cannot change the style or control the terminal.
Callers pass names of users and files through ``escaping.show`` first.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from dgaal_cli.tui import theme

Piece = tuple[str, Style]
Pieces = tuple[Piece, ...]

ROUND_BOX = "╭─╮│╰╯"
DOUBLE_BOX = "╔═╗║╚╝"
EIGHTHS = " ▏▎▍▌▋▊▉█"


def width_of(pieces: Iterable[Piece]) -> int:
    """Width of ``pieces`` in cells."""
    return sum(cell_len(text) for text, _ in pieces)


@lru_cache(maxsize=4096)
def line(width: int, left: Pieces, right: Pieces = (), fill: Style = theme.BASE) -> Strip:
    """Put ``left`` and ``right`` at the ends of ``width`` cells; ``left`` is cut first.

    Cached by content: an unchanged line keeps its rendered bytes.
    """
    return Strip(segments(width, left, right, fill), width)


def segments(
    width: int, left: Sequence[Piece], right: Sequence[Piece] = (), fill: Style = theme.BASE
) -> list[Segment]:
    """Return the segments of ``line``."""
    kept_right = cut(right, width)
    room = width - width_of(kept_right)
    kept_left = cut(left, room)
    gap = room - width_of(kept_left)
    out = [Segment(text, style) for text, style in kept_left]
    if gap:
        out.append(Segment(" " * gap, fill))
    out.extend(Segment(text, style) for text, style in kept_right)
    return out


def cut(pieces: Sequence[Piece], width: int) -> list[Piece]:
    """Return ``pieces``, cut to ``width`` cells with an ellipsis if they are longer."""
    if width_of(pieces) <= width:
        return list(pieces)
    kept: list[Piece] = []
    room = width - 1
    for text, style in pieces:
        size = cell_len(text)
        if size <= room:
            kept.append((text, style))
            room -= size
            continue
        if room >= 0 and width > 0:
            kept.append((set_cell_size(text, room) + "…", style))
        break
    return kept


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """Return ``text`` in exactly ``width`` cells."""
    if width <= 0:
        return ""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…"
    return " " * (width - size) + text if is_right else text + " " * (width - size)


def box_top(width: int, title: Pieces, style: Style, *, box: str = ROUND_BOX) -> Strip:
    """Return the upper edge of a box with its title."""
    return _edge(width, box[0] + box[1], title, (), box[1] + box[2], style)


def box_bottom(width: int, label: Pieces, style: Style, *, box: str = ROUND_BOX) -> Strip:
    """Return the lower edge of a box with a label at its right."""
    return _edge(width, box[4] + box[1], (), label, box[1] + box[5], style)


@lru_cache(maxsize=1024)
def _edge(width: int, start: str, title: Pieces, label: Pieces, end: str, style: Style) -> Strip:
    middle = width - 4
    titles = cut(title, middle)
    labels = cut(label, middle - width_of(titles))
    rule = start[1] * max(0, middle - width_of(titles) - width_of(labels))
    pieces = [(start, style), *titles, (rule, style), *labels, (end, style)]
    return Strip([Segment(text, s) for text, s in pieces if text], width)


@lru_cache(maxsize=4096)
def boxed(width: int, left: Pieces, right: Pieces = ()) -> Strip:
    """Return one line inside a box, with one blank cell at each side."""
    return boxed_segments(width, segments(width - 4, left, right))


def boxed_segments(width: int, inner: list[Segment]) -> Strip:
    """Like ``boxed``, for existing segments of ``width - 4`` cells."""
    sides = [Segment("│", theme.LINE), Segment(" ", theme.BASE)]
    return Strip([*sides, *inner, sides[1], sides[0]], width)


def box(width: int, title: Pieces, lines: Iterable[Pieces], *, height: int = 0) -> list[Strip]:
    """Return lines in a box of at least ``height`` rows."""
    inner = [boxed(width, pieces) for pieces in lines]
    inner += [boxed(width, ())] * (height - 2 - len(inner))
    return [box_top(width, title, theme.LINE), *inner, box_bottom(width, (), theme.LINE)]


def bar(share: float, width: int) -> str:
    """Return a bar in eighths of cells; ``share`` in 0..1."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def progress_bar(share: float, width: int) -> tuple[str, str, str]:
    """Return the done part, the head and the rest of a bar that is readable without color."""
    done = min(width, int(share * width))
    return "━" * done, "╺" if done < width else "", "─" * (width - done - 1)


def duration(seconds: float) -> str:
    """Format seconds as ``20s``, ``3:05`` or ``1:02:00``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
