"""Whether the files of a pool are there at all: one look at the file system, and no NumPy."""

import os
from pathlib import Path

_NOTHING_THERE = (FileNotFoundError, NotADirectoryError)


def folder_of(root: Path, spec: str) -> Path | None:
    """Return the folder that a pool consists of; None for pools of another kind.

    Args:
        root: What a relative SOURCE is relative to.
        spec: SOURCE, perhaps with ``#split``.
    """
    for part in (spec, spec.rpartition("#")[0]):
        path = root / os.path.expanduser(part)  # noqa: PTH111 - "~nobody" is a name, no error
        if part and path.is_dir():
            return path
    return None


def is_gone(path: str | os.PathLike[str], *, beside: str | os.PathLike[str]) -> bool:
    """Tell whether nothing lies at a path although its pool is there.

    A file that cannot be looked at is not gone, and neither is one whose pool is empty: a disk that
    is not mounted leaves an empty folder behind.

    Args:
        path: Where the file was.
        beside: A folder above it that holds more of the pool.
    """
    try:
        os.lstat(path)
    except _NOTHING_THERE:
        return _holds_any(beside)
    except (OSError, ValueError):
        return False
    return False


def _holds_any(folder: str | os.PathLike[str]) -> bool:
    try:
        with os.scandir(folder) as listing:
            return next(listing, None) is not None
    except OSError:
        return False
