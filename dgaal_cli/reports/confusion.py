"""Confusion matrices of a task model."""

import numpy as np
import numpy.typing as npt

from dgaal_cli.reports.figure import new_figure, plain, png_of

_WRITTEN_UP_TO = 15
"""More classes than this leave no room for numbers in the cells."""
_NAMED_UP_TO = 40
_MAX_NAME = 18


def draw_confusion(counts: npt.NDArray[np.int64], class_names: list[str], *, title: str) -> bytes:
    """Draw ``counts`` (K, K), true class by row, answer by column, as shares; return a PNG."""
    classes = len(class_names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(9.0, 2.6 + 0.36 * classes)
    figure = new_figure(width=side, height=side)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    if classes <= _WRITTEN_UP_TO:
        for row, column in np.argwhere(counts > 0):
            color = "white" if shares[row, column] > 0.5 else "black"
            cell = str(counts[row, column])
            axes.text(column, row, cell, ha="center", va="center", fontsize=7, color=color)
    if classes <= _NAMED_UP_TO:
        names = [plain(_short(name)) for name in class_names]
        axes.set_xticks(range(classes), names, rotation=90, fontsize=7)
        axes.set_yticks(range(classes), names, fontsize=7)
    axes.set_xlabel("answer", fontsize=8)
    axes.set_ylabel("true class", fontsize=8)
    axes.set_title(plain(title), fontsize=9)
    return png_of(figure)


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
