"""Accuracy of random queries, from a demo's twin or a simulation in the workspace."""

import json
import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.rounds.learning_curve import learning_curve
from dgaal_cli.workspace import Workspace

TWIN = "baseline-random"
"""Folder of the workspace in which ``dgaal demo`` runs random queries on the same pool."""
SIMULATION = "dgaal-simulation"
"""Default output folder of ``dgaal simulate``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomCurve:
    """Accuracy of random queries."""

    points: tuple[tuple[int, float], ...] = ()
    """(labels, accuracy 0..1), ascending; empty if unknown."""
    origin: str = ""
    """Source of the curve, in words."""

    def at(self, labels: int) -> float | None:
        """Return the accuracy at ``labels``, linear between points; None outside of them."""
        known = dict(self.points)
        if labels in known:
            return known[labels]
        for (left, below), (right, above) in pairwise(self.points):
            if left < labels < right:
                return below + (above - below) * (labels - left) / (right - left)
        return None


def random_baseline(workspace: Workspace, config: Config) -> RandomCurve:
    """Read the curve; empty if missing or unreadable.

    A simulation counts only if it used this workspace's pool or test images.
    """
    twin = learning_curve(Workspace(workspace.root / TWIN))
    if twin:
        points = tuple(sorted((point.labels, point.accuracy) for point in twin))
        return RandomCurve(points=points, origin="measured here")
    try:
        result = json.loads((workspace.root / SIMULATION / "result.json").read_bytes())
        return _simulated(result, workspace, config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RandomCurve()


def _simulated(result: dict[str, Any], workspace: Workspace, config: Config) -> RandomCurve:
    own = {_rooted(spec, workspace) for spec in (config.pool.source, config.pool.test) if spec}
    simulated = {os.path.normpath(spec) for spec in (result["pool"], result["test"]) if spec}
    random = next((row for row in result["methods"] if row["method"] == REFERENCE), None)
    if random is None or not own & simulated:
        return RandomCurve()
    points = [(round(p["annotations"]), float(p["accuracy"])) for p in random["curve"]]
    count = len(random["seeds"])
    return RandomCurve(
        points=tuple(sorted(p for p in points if 0 <= p[1] <= 1)),
        origin=f"simulated, {count} seed{'s' if count > 1 else ''}",
    )


def _rooted(spec: str, workspace: Workspace) -> str:
    """Return a SOURCE as simulations record it, with an absolute path."""
    if spec.startswith(("builtin:", "torchvision:")):
        return spec
    return os.path.normpath(workspace.root.absolute() / os.path.expanduser(spec))  # noqa: PTH111
