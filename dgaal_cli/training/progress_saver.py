"""The saved state of an unfinished round, from which a later process resumes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dgaal_cli import atomic
from dgaal_cli.events import Emit, Warned
from dgaal_cli.training import checkpoint, checkpoint_folder
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, is_sound
from dgaal_cli.training.identity import check_same

BROKEN_NAME = "not-finite.json"
"""File in a round's folder: the images of the batch whose loss was not finite."""


@dataclass(slots=True, kw_only=True)
class ProgressSaver:
    """Saves and loads the state of one round's training.

    Args:
        folder: The round's folder.
        identity: What a saved state must agree with to be resumed: labels, pool, settings.
        machine: What must agree for the same bits: processor, threads, precision, versions.
        is_inexact_allowed: Whether to resume on another ``machine``; bits may then differ.
    """

    folder: Path
    identity: Mapping[str, Any]
    machine: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_inexact_allowed: bool = False
    inexact: list[str] = field(default_factory=list[str])
    """Differences between the machines that started and resumed this round."""

    def load(self, number: int, emit: Emit) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Load the saved tensors and values of round ``number``; None if there are none.

        A damaged state is removed: training from the start gives the same weights.

        Raises:
            CheckpointError: A saved state belongs to other labels, settings or another machine.
        """
        path = self.folder / PROGRESS_NAME
        if not checkpoint.exists(path):
            return None
        if not is_sound(path):
            emit(
                Warned(message=f"the saved state of round {number} is damaged; the round restarts")
            )
            checkpoint_folder.remove(path)
            return None
        tensors, state = checkpoint.load(path)
        self.inexact = check_same(
            state,
            identity=self.identity,
            machine=self.machine,
            number=number,
            is_inexact_allowed=self.is_inexact_allowed,
        )
        return tensors, state

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Save tensors and values; a kill at any moment leaves the older or the newer state."""
        own = {
            "identity": dict(self.identity),
            "machine": dict(self.machine),
            "inexact": list(self.inexact),
        }
        checkpoint.save(self.folder / PROGRESS_NAME, dict(tensors), {**own, **state})

    def report_broken(self, *, phase: str, step: int, loss: str, images: Sequence[str]) -> None:
        """Write the images of the batch whose loss became infinite or NaN."""
        report = {"phase": phase, "step": step, "loss": loss, "images": list(images)}
        atomic.write_text(self.folder / BROKEN_NAME, json.dumps(report, indent=1) + "\n")
