"""What the task model of each round predicts for the audited images: ``audit.json``."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dgaal_cli import atomic
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.rounds.audit_draw import Predicted

FILE_NAME = "audit.json"
"""File in a round's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Predictions of one model."""

    round: int
    predicted: dict[ItemId, ClassUid] = field(default_factory=dict[ItemId, ClassUid])
    """Empty if the file is damaged."""
    labels: int | None = None
    """Labels that the model learned from; None in files of earlier versions."""
    uncertainty: float | None = None
    """Mean of 1 minus the probability of the predicted class, over the unlabeled images; None if it
    was not computed."""


def save_record(
    workspace: Workspace,
    number: int,
    predicted: "Predicted",
    *,
    labels: int,
    uncertainty: float | None = None,
) -> None:
    """Write what the task model of a round predicts for the audited images.

    Raises:
        StorageError: The file cannot be written.
    """
    folder = workspace.round_path(number)
    folder.mkdir(parents=True, exist_ok=True)
    classes = zip(predicted.item_ids, predicted.classes, strict=True)
    document = {
        "predicted": {str(item): uid for item, uid in classes},
        "labels": labels,
        "uncertainty": uncertainty,
    }
    atomic.write_text(folder / FILE_NAME, json.dumps(document) + "\n")


def read_records(workspace: Workspace) -> list[AuditRecord]:
    """Return the records of all rounds that have one, by round."""
    if not workspace.rounds_path.is_dir():
        return []
    numbers = sorted(int(f.name) for f in workspace.rounds_path.iterdir() if f.name.isdigit())
    read = (_read(workspace, number) for number in numbers)
    return [record for record in read if record is not None]


def _read(workspace: Workspace, number: int) -> AuditRecord | None:
    try:
        found = json.loads((workspace.round_path(number) / FILE_NAME).read_bytes())
        labels, uncertainty = found.get("labels"), found.get("uncertainty")
        return AuditRecord(
            round=number,
            predicted={ItemId(int(i)): ClassUid(str(uid)) for i, uid in found["predicted"].items()},
            labels=None if labels is None else int(labels),
            uncertainty=None if uncertainty is None else float(uncertainty),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return AuditRecord(round=number)
