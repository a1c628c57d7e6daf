"""What the exported sampler sees in every image of the workspace, kept in one file."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dgaal_cli import atomic

NAME = "outlook.npz"
_NAMES = ("items", "scores", "probabilities", "features", "class_uids", "sampler_sha", "round")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Scores, guesses and features of one sampler, by row."""

    items: NDArray[np.int64]
    """(N,) item numbers, ascending."""
    scores: NDArray[np.float32]
    """(N,), higher = ask first."""
    probabilities: NDArray[np.float32]
    """(N, K) of the task model."""
    features: NDArray[np.float32]
    """(N, Z)."""
    class_uids: tuple[str, ...]
    """Of the K columns."""
    sampler_sha: str
    """Of the artifact's file, in hex."""
    round: int
    """That the sampler was trained in."""

    def save(self, path: Path) -> None:
        """Write the file whole or not at all.

        Raises:
            StorageError: The disk is full or the folder not writable.
        """
        buffer = io.BytesIO()
        np.savez(
            buffer,
            items=self.items,
            scores=self.scores,
            probabilities=self.probabilities,
            features=self.features,
            class_uids=np.array(self.class_uids),
            sampler_sha=np.array(self.sampler_sha),
            round=np.array(self.round),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, buffer.getvalue())


def load_outlook(path: Path) -> Outlook | None:
    """Read the file; None if it is missing or damaged, for it can be made again."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = {name: file[name] for name in _NAMES}
        outlook = Outlook(
            items=found["items"].astype(np.int64, casting="safe"),
            scores=found["scores"].astype(np.float32),
            probabilities=found["probabilities"].astype(np.float32),
            features=found["features"].astype(np.float32),
            class_uids=tuple(str(uid) for uid in found["class_uids"]),
            sampler_sha=str(found["sampler_sha"]),
            round=int(found["round"]),
        )
    except Exception:  # noqa: BLE001 - zipfile and numpy raise a dozen types at damaged bytes
        return None
    count = len(outlook.items)
    shapes = (outlook.scores.shape, outlook.probabilities.shape, outlook.features.shape)
    columns = len(outlook.class_uids)
    wanted = ((count,), (count, columns), (count, *outlook.features.shape[1:]))
    is_whole = shapes == wanted and outlook.features.ndim == 2
    is_whole = is_whole and bool(np.all(np.diff(outlook.items) > 0))
    arrays = (outlook.scores, outlook.probabilities, outlook.features)
    return outlook if is_whole and all(np.isfinite(a).all() for a in arrays) else None
