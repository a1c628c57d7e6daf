"""Matplotlib figures without a display, saved as PNG."""

import io
import warnings
from pathlib import Path
from typing import Any, cast

from dgaal_cli import atomic
from dgaal_cli.escaping import show

DOTS_PER_INCH = 110
COLORS = ("#444444", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f00")
"""Distinguishable for color-blind readers (Okabe & Ito); the first color is for the reference."""
MARKERS = "osD^v<>P"


def new_figure(*, width: float, height: float) -> Any:
    """Return an empty figure of this size in inches with an automatic layout."""
    return _figure(width, height, layout="constrained")


def new_row(panels: int, *, width: float, height: float) -> Any:
    """Return an empty figure for a row of panels, each of this size in inches.

    The margins are fixed and fit plain labels and ticks. The automatic layout of ``new_figure``
    draws a figure once to measure it, which takes half of the time.
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
    """Return a name from outside so that matplotlib draws it literally.

    A ``$`` would start a formula, and matplotlib leaves names with a leading ``_`` out of legends.
    """
    text = show(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def png_of(figure: Any) -> bytes:
    """Return the figure as a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes; a warning on stderr would not help.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def write(png: bytes, target: Path) -> None:
    """Write a PNG file, and its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(target, png)
