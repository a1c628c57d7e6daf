"""What a sampler or the task model on features says of all images of a workspace, in one file."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgaal_cli import atomic

FILE_NAME = "outlook.npz"
OF_FEATURES = "features"
"""Stands for the digest of the sampler if the task model on features made the predictions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPredictions:
    """Scores, class probabilities and features of one sampler, by row."""

    items: NDArray[np.int64]
    """(N,) item numbers, ascending."""
    scores: NDArray[np.float32]
    """(N,), higher = ask first."""
    probabilities: NDArray[np.float32]
    """(N, K), of the task model."""
    features: NDArray[np.float32]
    """(N, Z)."""
    class_uids: tuple[str, ...]
    """Classes of the K columns."""
    sampler_sha: str
    """SHA-256 of the artifact's file, in hex; or ``OF_FEATURES``."""
    round: int
    """Round in which the sampler was trained, or which was asked by features."""

    def save(self, path: Path) -> None:
        """Write the file atomically.

        Raises:
            StorageError: The disk is full, or the folder is not writable.
        """
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        np.savez(buffer, **arrays)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, buffer.getvalue())


def load_pool_predictions(path: Path) -> PoolPredictions | None:
    """Read the file; None if it is missing or damaged, because it can be computed again."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = {name: file[name] for name in PoolPredictions.__slots__}
        predictions = PoolPredictions(
            items=found["items"].astype(np.int64, casting="safe"),
            scores=found["scores"].astype(np.float32),
            probabilities=found["probabilities"].astype(np.float32),
            features=found["features"].astype(np.float32),
            class_uids=tuple(str(uid) for uid in found["class_uids"]),
            sampler_sha=str(found["sampler_sha"]),
            round=int(found["round"]),
        )
    except Exception:  # noqa: BLE001 - zipfile and numpy raise many types on damaged bytes
        return None
    count = len(predictions.items)
    shapes = (predictions.scores.shape, predictions.probabilities.shape, predictions.features.shape)
    columns = len(predictions.class_uids)
    expected = ((count,), (count, columns), (count, *predictions.features.shape[1:]))
    is_valid = shapes == expected and predictions.features.ndim == 2
    is_valid = is_valid and bool(np.all(np.diff(predictions.items) > 0))
    arrays = (predictions.scores, predictions.probabilities, predictions.features)
    return predictions if is_valid and all(np.isfinite(a).all() for a in arrays) else None
