"""What is known of the task model on features: ``model.json`` in a round's folder; no torch."""

from typing import TYPE_CHECKING

import msgspec

from dgaal_cli import atomic
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.task_heads.fit import FeatureModel

FILE_NAME = "model.json"


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One fitted model."""

    round: int
    note: str
    """Which model it is and why, one sentence."""
    temperatures: tuple[float, ...]
    """Of the graph, the head or both: the logarithms of their probabilities are divided by it."""
    held_out: int
    """Labels that were predicted by models that did not see them; 0 if there were too few."""
    accuracy: float | None
    """Share of these that were right, 0..1; each class counts the same. None without any."""
    calibration_error: float | None
    """Expected calibration error on these, 0..1. None without any."""

    @property
    def in_words(self) -> str:
        """One sentence."""
        if self.calibration_error is None:
            return self.note
        error = f"expected calibration error {self.calibration_error:.1%}"
        return f"{self.note}; {error} on {self.held_out} held-out labels"


def save_model_record(workspace: Workspace, number: int, model: "FeatureModel") -> None:
    """Write the record of a round's model.

    Raises:
        StorageError: The file cannot be written.
    """
    held_out = model.held_out
    record = ModelRecord(
        round=number,
        note=model.note,
        temperatures=tuple(part.temperature for part in model.parts),
        held_out=0 if held_out is None else held_out.count,
        accuracy=None if held_out is None else held_out.accuracy,
        calibration_error=None if held_out is None else held_out.calibration_error,
    )
    folder = workspace.round_path(number)
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(folder / FILE_NAME, msgspec.json.encode(record).decode() + "\n")


def newest_model_record(workspace: Workspace) -> ModelRecord | None:
    """Return the record of the newest round that has one; None without any, or if it is damaged."""
    paths = [
        folder / FILE_NAME
        for folder in workspace.rounds_path.glob("*")
        if folder.name.isdigit() and (folder / FILE_NAME).is_file()
    ]
    if not paths:
        return None
    newest = max(paths, key=lambda path: int(path.parent.name))
    try:
        return msgspec.json.decode(newest.read_bytes(), type=ModelRecord)
    except (OSError, msgspec.MsgspecError):
        return None
