"""The result of a trained round, from its records; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dgaal_cli.rounds.state import METRICS_NAME, RUN_NAME, read_record
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """One trained round."""

    round: int
    labels: int
    """Images of the pool and synthetic images that people labeled."""
    accuracy: float | None
    measured_on: str
    measured_count: int
    seconds: float
    synthesized: int
    metrics: Mapping[str, float]


def read_result(workspace: Workspace, number: int) -> TrainResult:
    """Read the result of a trained round.

    Raises:
        WorkspaceError: A record is missing or damaged.
    """
    folder = workspace.round_path(number)
    metrics, run = read_record(folder / METRICS_NAME), read_record(folder / RUN_NAME)
    shared = ("round", "labels", "accuracy", "measured_on", "measured_count", "seconds")
    own: dict[str, Any] = {name: metrics[name] for name in shared}
    return TrainResult(**own, synthesized=run["synthesized"], metrics=metrics["health"])
