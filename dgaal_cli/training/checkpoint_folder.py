"""The files of a checkpoint and their hashes; no torch, since ``dgaal status`` uses it too."""

import contextlib
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from dgaal_cli.errors import CheckpointError

TENSORS_NAME = "tensors.safetensors"
STATE_NAME = "state.json"
COMPLETE_NAME = "COMPLETE.json"
PROGRESS_NAME = "progress"
"""Folder in a round's folder: the training state of an unfinished round."""


def older_folder(folder: Path) -> Path:
    """Return the folder that keeps the older checkpoint while a newer one is renamed."""
    return folder.with_name(f".{folder.name}.old")


def candidates(folder: Path) -> list[Path]:
    """Return existing folders of this checkpoint, newest first; hashes are not checked."""
    return [place for place in (folder, older_folder(folder)) if (place / COMPLETE_NAME).is_file()]


def is_sound(folder: Path) -> bool:
    """Return whether ``folder`` holds a complete and unchanged checkpoint."""
    return any(_is_whole(place, _stamps(place)) for place in candidates(folder))


def read_state(folder: Path) -> dict[str, Any]:
    """Read the JSON values of the newest complete and unchanged checkpoint at ``folder``.

    Returns:
        The values; empty if there is no such checkpoint.
    """
    for place in candidates(folder):
        with contextlib.suppress(CheckpointError, ValueError, RecursionError):
            return cast("dict[str, Any]", json.loads(read_parts(place)[STATE_NAME]))
    return {}


def read_parts(folder: Path) -> dict[str, bytes]:
    """Read the files of one candidate.

    Raises:
        CheckpointError: A byte differs from what was saved.
    """
    damaged = CheckpointError(
        f"the checkpoint {folder} is damaged; train the round again with --fresh"
    )
    try:
        hashes = cast("dict[str, str]", json.loads((folder / COMPLETE_NAME).read_bytes()))
        parts = {name: (folder / name).read_bytes() for name in (TENSORS_NAME, STATE_NAME)}
        expected = {name: hashes[name] for name in parts}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged from error
    if any(hashlib.sha256(data).hexdigest() != expected[name] for name, data in parts.items()):
        raise damaged
    return parts


@lru_cache(maxsize=64)
def _is_whole(folder: Path, _stamps: tuple[tuple[int, int], ...]) -> bool:
    try:
        read_parts(folder)
    except CheckpointError:
        return False
    return True


def _stamps(folder: Path) -> tuple[tuple[int, int], ...]:
    """Return sizes and change times; while they are equal, the content is not read again."""
    found: list[tuple[int, int]] = []
    for name in (COMPLETE_NAME, TENSORS_NAME, STATE_NAME):
        try:
            status = (folder / name).stat()
        except OSError:
            found.append((-1, -1))
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)
