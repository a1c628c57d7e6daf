"""Plots of one round: losses, the learning curve so far, and a sheet of synthetic images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dgaal_cli.events import CheckpointSaved, RoundStarted, StepDone, decode
from dgaal_cli.reports.figure import new_row, png_of, write
from dgaal_cli.reports.sheets import pair_sheet, square_sheet

MAX_SHEET_IMAGES = 64


def counted_steps(events_path: Path) -> list[StepDone]:
    """Read the training steps that led to the final weights of a round from its event log.

    Steps after the last save before an interruption are left out, since they were repeated; so is
    everything before the round was restarted from scratch.
    """
    steps: list[StepDone] = []
    saved = 0
    for line in events_path.read_bytes().splitlines():
        try:
            event = decode(line)
        except msgspec.DecodeError:  # an incomplete line after a power cut
            continue
        match event:
            case StepDone():
                steps.append(event)
            case CheckpointSaved():
                saved = len(steps)
            case RoundStarted():
                saved = saved if event.resumed_at else 0
                del steps[saved:]
            case _:
                pass
    return steps


def loss_series(steps: Sequence[StepDone]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return the loss over steps as ``{panel: {line: [(step, loss)]}}``.

    Phases whose names differ only in a number, such as the folds of D1 or the members of an
    ensemble, share one panel.
    """
    series: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for event in steps:
        panel, dash, number = event.phase.rpartition("-")
        is_one_of_several = bool(dash) and number.isdecimal()
        for name, value in event.losses.items():
            line = f"{name} {number}" if is_one_of_several else name
            lines = series.setdefault(panel if is_one_of_several else event.phase, {})
            lines.setdefault(line, []).append((event.step, value))
    return series


def write_loss_plot(events_path: Path, target: Path) -> None:
    """Plot the losses of each phase over its steps, if any were recorded."""
    series = loss_series(counted_steps(events_path))
    if not series:
        return
    figure = new_row(len(series), width=4.0, height=3.2)
    for place, (phase, losses) in enumerate(series.items(), start=1):
        axes = figure.add_subplot(1, len(series), place)
        for name, points in losses.items():
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), linewidth=1.2)
        axes.set_title(phase, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7)
    write(png_of(figure), target)


def write_learning_curve(curve: Sequence[Mapping[str, Any]], target: Path) -> None:
    """Plot accuracy over the number of labels, if it was measured."""
    points = [(m["labels"], m["accuracy"]) for m in curve if m["accuracy"] is not None]
    if not points:
        return
    figure = new_row(1, width=5.0, height=3.4)
    axes = figure.add_subplot()
    axes.plot(*zip(*points, strict=True), marker="o", linewidth=1.4)
    axes.set_xlabel("labels", fontsize=9)
    axes.set_ylabel(f"accuracy on {curve[-1]['measured_on']}", fontsize=9)
    axes.set_ylim(0.0, 1.0)
    axes.grid(alpha=0.3)
    write(png_of(figure), target)


def write_pair_sheet(parents: np.ndarray, copies: np.ndarray, target: Path) -> None:
    """Write a sheet of uint8 images ``(M, H, W, C)``: each parent next to its synthetic copy."""
    write(pair_sheet(list(zip(parents, copies, strict=True))), target)


def write_image_sheet(pixels: np.ndarray, target: Path) -> None:
    """Write uint8 images ``(M, H, W, C)`` as a square sheet, if there are any."""
    if len(pixels):
        write(square_sheet(list(pixels[:MAX_SHEET_IMAGES])), target)
