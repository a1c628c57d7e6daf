"""When the folders of a pool last changed, so that new files are noticed without listing all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from dgaal_cli import atomic
from dgaal_cli.errors import StorageError

FILE_NAME = "pool-folders.json"
"""Name in the cache folder of a workspace."""
MAX_FOLDERS = 2000
"""Folders that are looked at; those nearest to the top of the pool."""
_SETTLED_NS = 1_000_000_000
"""A folder may change again within one tick of its clock: only times before that prove anything."""


def save_folders(cache: Path, pool: Path, names: Iterable[str], *, began_ns: int) -> None:
    """Note the times of a pool's folders; a disk that refuses is no error.

    Args:
        cache: Cache folder of the workspace.
        pool: Folder of the pool, or its file.
        names: Names of all its files.
        began_ns: Time before they were listed; folders that changed since count as changed.
    """
    folders = {"": None, **dict.fromkeys(_parents(names))}
    nearest = sorted(folders, key=lambda name: name.count("/"))[:MAX_FOLDERS]
    times = {name: _time(pool / name) for name in nearest}
    settled = {name: at if at < began_ns - _SETTLED_NS else 0 for name, at in times.items()}
    try:
        cache.mkdir(parents=True, exist_ok=True)
        atomic.write_text(cache / FILE_NAME, json.dumps(settled))
    except (OSError, StorageError, UnicodeEncodeError):
        return


def noted_folders(cache: Path, pool: Path) -> dict[str, bool]:
    """Return the folders that were noted, and whether each has changed since; empty if none was."""
    try:
        noted: object = json.loads((cache / FILE_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(noted, dict):
        return {}
    times = cast("Mapping[str, object]", noted)
    return {name: _time(pool / name) != at for name, at in times.items()}


def _parents(names: Iterable[str]) -> Iterator[str]:
    """Yield every folder above some files, relative to the pool."""
    seen: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in seen:
            seen.add(folder)
            yield folder
            folder = folder.rpartition("/")[0]


def _time(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
