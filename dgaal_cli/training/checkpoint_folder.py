"""The files of a checkpoint and their hashes; no torch, which ``dgaal status`` does without.

A checkpoint is a folder that gets its name only when it is complete.
"""

import contextlib
import hashlib
import json
import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from dgaal_cli.atomic import sync_folder, write_bytes
from dgaal_cli.errors import CheckpointError, StorageError
from dgaal_cli.scratch import scratch

TENSORS_NAME = "tensors.safetensors"
STATE_NAME = "state.json"
COMPLETE_NAME = "COMPLETE.json"
FORMAT_VERSION = 1
PROGRESS_NAME = "progress"
"""Folder in a round's folder: the training state of an unfinished round."""


def older_folder(folder: Path) -> Path:
    """Return the folder that keeps the older checkpoint while a newer one is renamed."""
    return folder.with_name(f".{folder.name}.old")


def candidates(folder: Path) -> list[Path]:
    """Return existing folders of this checkpoint, newest first; hashes are not checked."""
    return [place for place in (folder, older_folder(folder)) if (place / COMPLETE_NAME).is_file()]


def write(folder: Path, tensors: bytes, state: dict[str, Any]) -> None:
    """Write a checkpoint; ``folder`` always holds the complete old or new one.

    Args:
        folder: Its folder.
        tensors: A file of safetensors.
        state: JSON values.

    Raises:
        StorageError: The disk is full or not writable; the old checkpoint is untouched.
    """
    parts = {
        TENSORS_NAME: tensors,
        STATE_NAME: json.dumps({"version": FORMAT_VERSION, **state}, indent=1).encode(),
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch(folder.parent, is_folder=True) as temporary:
            for name, data in parts.items():
                write_bytes(temporary / name, data)
            write_bytes(temporary / COMPLETE_NAME, json.dumps(hashes).encode())
            _swap(temporary, folder)
    except OSError as error:
        raise StorageError(
            f"cannot write the checkpoint {folder}: {error.strerror or error}; "
            "the previous one is unchanged"
        ) from error


def remove(folder: Path) -> None:
    """Delete a checkpoint; if the disk refuses, it stays complete."""
    for each in (folder, older_folder(folder)):
        try:
            (each / COMPLETE_NAME).unlink(missing_ok=True)  # without it the rest is ignored
        except OSError:
            continue
        shutil.rmtree(each, ignore_errors=True)


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


def _swap(temporary: Path, folder: Path) -> None:
    """Rename folders; after a kill between the two renames, a reader finds the old one."""
    older = older_folder(folder)
    sync_folder(temporary)
    if folder.exists():
        shutil.rmtree(older, ignore_errors=True)
        os.replace(folder, older)  # noqa: PTH105
    try:
        os.replace(temporary, folder)  # noqa: PTH105
    except OSError:
        if older.exists():
            os.replace(older, folder)  # noqa: PTH105
        raise
    sync_folder(folder.parent)
    shutil.rmtree(older, ignore_errors=True)
