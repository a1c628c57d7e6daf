"""Predictions that a person accepted for the rest of the pool: ``predicted.json``.

They are no labels: the store does not hold them, nothing learns them, and an answer of a person
always counts instead. Exports write them with the provenance ``predicted``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dgaal_cli import atomic
from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import AnswerRecord, ItemRecord, Label
from dgaal_cli.workspace import Workspace

FILE_NAME = "predicted.json"
"""File in the workspace."""
MODEL = "model"
"""Stands for an annotator in exports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedPredictions:
    """One accepted set of predictions."""

    round: int
    """Round of the model."""
    by: str
    """Who accepted them."""
    at: str
    """ISO 8601, UTC."""
    max_error: float
    """Share of wrong ones that was allowed, 0..1."""
    error_at_most: float
    """Upper bound of that share, by the audit."""
    level: float
    """Probability with which the bound holds."""
    classes: Mapping[str, ClassUid]
    """Class of each image, by the SHA-256 of its bytes in hex."""


def save_accepted(workspace: Workspace, accepted: AcceptedPredictions) -> None:
    """Write the set in place of an earlier one.

    Raises:
        StorageError: The file cannot be written.
    """
    names = ("round", "by", "at", "max_error", "error_at_most", "level", "classes")
    document = {"version": 1} | {name: getattr(accepted, name) for name in names}
    atomic.write_text(workspace.root / FILE_NAME, json.dumps(document) + "\n")


def read_accepted(workspace: Workspace) -> AcceptedPredictions | None:
    """Return the accepted set; None without one.

    Raises:
        WorkspaceError: The file is damaged.
    """
    path = workspace.root / FILE_NAME
    try:
        found = json.loads(path.read_bytes())
        return AcceptedPredictions(
            round=int(found["round"]),
            by=str(found["by"]),
            at=str(found["at"]),
            max_error=float(found["max_error"]),
            error_at_most=float(found["error_at_most"]),
            level=float(found["level"]),
            classes={str(sha): ClassUid(str(uid)) for sha, uid in found["classes"].items()},
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WorkspaceError(
            f"{path} is damaged; revoke its predictions with 'dgaal labels accept-predicted "
            "--revoke' and accept them again"
        ) from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


def revoke_accepted(workspace: Workspace) -> bool:
    """Remove the accepted set; return whether there was one.

    Raises:
        StorageError: The file cannot be removed.
    """
    path = workspace.root / FILE_NAME
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror or error}") from error
    return True


def predicted_answers(
    store: Store, accepted: AcceptedPredictions, text: LabelText
) -> Iterator[AnswerRecord]:
    """Yield the accepted predictions of images that nobody answered, as exports write them."""
    sizes = store.sizes()
    labels = {uid: _label(uid, text) for uid in set(accepted.classes.values())}
    for item, uid in _standing(store, accepted):
        width, height = sizes[item.item_id]
        yield AnswerRecord(
            kind="label",
            item_id=item.item_id,
            sample_id=item.sample_id,
            sha256=item.sha256,
            width=width,
            height=height,
            label=labels[uid],
            provenance="predicted",
            annotator=MODEL,
            round=accepted.round,
            event_id=0,
            at=accepted.at,
            op_id=f"predicted{item.sha256.hex()[:16]}",
            changed_at=None,
            elapsed_ms=None,
            note="",
            is_effective=True,
            is_synthetic=False,
            parent=None,
        )


def count_standing(store: Store, accepted: AcceptedPredictions) -> int:
    """Return how many accepted predictions stand: nobody answered their images."""
    return sum(1 for _ in _standing(store, accepted))


def _standing(store: Store, accepted: AcceptedPredictions) -> Iterator[tuple[ItemRecord, ClassUid]]:
    """Yield the images that nobody answered, each with its prediction of a class in use."""
    open_ids, known = set(store.unanswered()), {record.uid for record in store.classes()}
    for item in store.items():
        uid = accepted.classes.get(item.sha256.hex())
        if uid is not None and uid in known and item.item_id in open_ids:
            yield item, uid


def _label(uid: ClassUid, text: LabelText) -> Label:
    """Return the label that names one class."""
    return text.from_text([uid], lambda _: uid)
