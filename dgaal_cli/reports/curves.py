"""Learning curves with intervals, differences to random queries, and health over rounds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dgaal_cli.reports.figure import COLORS, MARKERS, new_figure, plain, png_of

Health = Mapping[str, float | None]
_COLUMNS = 3
"""Panels in a line of health values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line."""

    name: str
    labels: tuple[float, ...]
    accuracies: tuple[float, ...]
    """0..1."""
    band: tuple[tuple[float, float], ...] = ()
    """Interval of each accuracy; empty without intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One paired difference with its interval."""

    name: str
    mean: float
    low: float
    high: float


def draw_curves(series: Sequence[Series], *, ylabel: str, level: float | None = None) -> bytes:
    """Draw learning curves, the reference first; return a PNG.

    ``level`` is the accuracy on all labels, 0..1, a horizontal line.
    """
    figure = new_figure(width=7.0, height=4.4)
    axes = figure.add_subplot()
    for place, line in enumerate(series):
        color = COLORS[place % len(COLORS)]
        if line.band:
            low, high = zip(*line.band, strict=True)
            axes.fill_between(line.labels, low, high, color=color, alpha=0.13, lw=0)
        axes.plot(
            line.labels,
            line.accuracies,
            color=color,
            marker=MARKERS[place % len(MARKERS)],
            markersize=4,
            linewidth=1.4,
            label=plain(line.name),
        )
    if level is not None:
        axes.axhline(level, color="black", linewidth=0.9, linestyle=":", label="all labels")
    axes.set_xlabel("annotations", fontsize=9)
    axes.set_ylabel(plain(ylabel), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if series or level is not None:
        axes.legend(fontsize=8)
    return png_of(figure)


def draw_differences(differences: Sequence[Difference]) -> bytes:
    """Draw the difference of each method to random queries, in points of AUBC; return a PNG."""
    figure = new_figure(width=7.0, height=1.2 + 0.34 * len(differences))
    axes = figure.add_subplot()
    for place, own in enumerate(differences):
        is_clear = own.low > 0 or own.high < 0
        axes.plot([100 * own.low, 100 * own.high], [place, place], color="#0072b2", linewidth=2.2)
        axes.plot(
            100 * own.mean,
            place,
            marker="o",
            color="#0072b2",
            markerfacecolor="#0072b2" if is_clear else "white",
        )
    axes.axvline(0.0, color="black", linewidth=0.9)
    axes.set_yticks(range(len(differences)), [plain(own.name) for own in differences], fontsize=8)
    axes.set_ylim(len(differences) - 0.5, -0.5)  # first on top
    axes.set_xlabel(
        "points of AUBC above random, 95 % interval (hollow: contains zero)", fontsize=9
    )
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3, axis="x")
    return png_of(figure)


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
