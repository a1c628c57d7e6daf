"""Whether the newest generator is good enough that people can label what it synthesizes."""

from typing import cast

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import WorkspaceError
from dgaal_cli.rounds.state import METRICS_NAME, read_record
from dgaal_cli.workspace import Workspace


def refusal_of_synthesis(workspace: Workspace, config: Config) -> str:
    """Say why synthetic images would be noise; empty if they may be asked.

    The measure is the reconstruction R² of the newest round: the share of the variance between
    images that the decoder restores, at most 1. A generator without that measure is not refused.
    """
    newest = max(workspace.rounds_path.glob(f"*/{METRICS_NAME}"), default=None)
    if newest is None:
        return ""
    try:
        metrics = read_record(newest)
    except WorkspaceError:  # the checkpoint is checked elsewhere
        return ""
    health = cast("dict[str, float | None]", metrics.get("health") or {})
    quality = health.get("reconstruction_r2")
    least = config.label.min_r2
    if not least or quality is None or quality >= least:
        return ""
    number, restored = int(newest.parent.name), max(quality, 0.0)
    return (
        f"the generator of round {number} restores only {restored:.0%} of what "
        f"distinguishes the images, and label.min_r2 demands {least:.0%}: its images would be "
        "noise; train more steps, or lower label.min_r2"
    )
