"""Accuracy per round, read from the rounds' metrics."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Accuracy after one round."""

    round: int
    labels: int
    accuracy: float
    """0..1."""
    measured: int | None = None
    """Number of images measured; the screen marks small numbers."""
    health: tuple[tuple[str, float], ...] = ()
    """Gauges of the sampler: name, value."""


def learning_curve(workspace: Workspace) -> tuple[CurvePoint, ...]:
    """Read accuracy per round from the rounds' metrics; rounds without accuracy are skipped."""
    points = (_curve_point(path) for path in sorted(workspace.rounds_path.glob("*/metrics.json")))
    return tuple(point for point in points if point)


def _curve_point(path: Path) -> CurvePoint | None:
    try:
        read = json.loads(path.read_bytes())
        metrics = cast("dict[str, Any]", read)
        labels, accuracy = int(metrics["labels"]), float(metrics["accuracy"])
        number = int(metrics.get("round", path.parent.name))
        count = metrics.get("measured_count")
        measured = int(count) if count is not None else None
        gauges = cast("dict[str, float | None]", metrics.get("health") or {})
        health = tuple((str(k), float(v)) for k, v in gauges.items() if v is not None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # a damaged point must not prevent labeling
    if not 0 <= accuracy <= 1:
        return None
    return CurvePoint(
        round=number, labels=labels, accuracy=accuracy, measured=measured, health=health
    )
