"""Plots of the health values of the sampler's networks over the rounds."""

import math
from collections.abc import Mapping, Sequence

from dgaal_cli.reports.figure import COLORS, new_figure, plain, png_of

Health = Mapping[str, float | None]

_COLUMNS = 3


def draw_health(rounds: Sequence[tuple[int, Health]]) -> bytes | None:
    """Draw each health value over the rounds, ascending, each with its own scale.

    None if there are no values.
    """
    names = list(dict.fromkeys(name for _, health in rounds for name in health))
    if not names:
        return None
    lines = math.ceil(len(names) / _COLUMNS)
    columns = min(_COLUMNS, len(names))
    figure = new_figure(width=2.9 * columns, height=2.2 * lines)
    for place, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, place + 1)
        points = [(n, value) for n, h in rounds if (value := h.get(name)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=COLORS[1])
        if name in ("discriminator_auc", "copies_auc"):
            axes.axhline(0.5, color="black", linewidth=0.8, linestyle=":")  # chance
        axes.set_title(plain(name.replace("_", " ")), fontsize=8)
        axes.set_xlabel("round", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    return png_of(figure)
