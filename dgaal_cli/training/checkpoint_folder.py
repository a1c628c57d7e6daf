"""Where the parts of a checkpoint lie and whether they are whole; needs no torch.

``dgaal status`` and the label terminal ask this too, and must start without it.
"""

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
"""Folder, in a round's folder, of the training state of an unfinished round."""


def aside(folder: Path) -> Path:
    """Where the older checkpoint lies while a newer one takes its name."""
    return folder.with_name(f".{folder.name}.old")


def candidates(folder: Path) -> list[Path]:
    """Folders that claim to be this checkpoint, newest first; their hashes are not checked."""
    return [place for place in (folder, aside(folder)) if (place / COMPLETE_NAME).is_file()]


def is_sound(folder: Path) -> bool:
    """Tell whether some whole and unchanged checkpoint lies at ``folder``."""
    return any(_is_whole(place, _stamps(place)) for place in candidates(folder))


def read_state(folder: Path) -> dict[str, Any]:
    """Read what the newest whole and unchanged checkpoint at ``folder`` says beside its tensors.

    Returns:
        Its JSON values; empty where no such checkpoint lies.
    """
    for place in candidates(folder):
        with contextlib.suppress(CheckpointError, ValueError, RecursionError):
            return cast("dict[str, Any]", json.loads(read_parts(place)[STATE_NAME]))
    return {}


def read_parts(folder: Path) -> dict[str, bytes]:
    """Read the bytes of one candidate.

    Raises:
        CheckpointError: Any byte differs from what was saved.
    """
    damaged = CheckpointError(
        f"the checkpoint {folder} is damaged; train the round again with --fresh"
    )
    try:
        hashes = cast("dict[str, str]", json.loads((folder / COMPLETE_NAME).read_bytes()))
        parts = {name: (folder / name).read_bytes() for name in (TENSORS_NAME, STATE_NAME)}
        wanted = {name: hashes[name] for name in parts}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged from error
    if any(hashlib.sha256(data).hexdigest() != wanted[name] for name, data in parts.items()):
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
    """Sizes and times of change: while they stay, one look at the content is enough."""
    found: list[tuple[int, int]] = []
    for name in (COMPLETE_NAME, TENSORS_NAME, STATE_NAME):
        try:
            status = (folder / name).stat()
        except OSError:
            found.append((-1, -1))
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)
