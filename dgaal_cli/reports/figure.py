"""Figures without a display: made, named in plain text, written as PNG."""

import io
import warnings
from pathlib import Path
from typing import Any, cast

from dgaal_cli import atomic
from dgaal_cli.escaping import show

DOTS_PER_INCH = 110
COLORS = ("#444444", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f00")
"""Told apart by color-blind readers too (Okabe & Ito); the first one is the reference's."""
MARKERS = "osD^v<>P"


def new_figure(*, width: float, height: float) -> Any:
    """Return an empty figure of this size in inches, whose parts make room for each other."""
    return _figure(width, height, layout="constrained")


def new_row(panels: int, *, width: float, height: float) -> Any:
    """Return an empty figure for a row of panels, each of this size in inches.

    The margins fit plain labels and ticks. Unlike ``new_figure`` nothing has to be drawn once to
    measure it, which is half the time of a picture.
    """
    left, right, bottom, top = 0.62, 0.12, 0.48, 0.3
    whole = panels * width
    drawn = _figure(whole, height)
    drawn.subplots_adjust(
        left=left / whole,
        right=1 - right / whole,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=(left + right) / (width - left - right),
    )
    return drawn


def _figure(width: float, height: float, **options: Any) -> Any:
    # The object interface needs no display and no global state, unlike pyplot.
    from matplotlib import figure

    return cast("Any", figure).Figure(figsize=(width, height), **options)


def plain(name: str) -> str:
    """Return a foreign name as matplotlib draws it letter by letter.

    A ``$`` would begin a formula, and a name that begins with ``_`` would vanish from legends.
    """
    text = show(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def png_of(figure: Any) -> bytes:
    """Draw a figure."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Letters that the font lacks are drawn as boxes; that is no reason to talk on stderr.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def save(figure: Any, target: Path) -> None:
    """Write a figure as PNG."""
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(target, png_of(figure))
