"""Whether the files of a pool are there at all: one look at the file system, and no NumPy."""

import os
from pathlib import Path

_NOTHING_THERE = (FileNotFoundError, NotADirectoryError)


def folder_of(root: Path, spec: str) -> Path | None:
    """Return the folder that a pool consists of; None for pools of another kind.

    A folder that cannot be looked at, as after an error of its disk, is None as well.

    Args:
        root: What a relative SOURCE is relative to.
        spec: SOURCE, perhaps with ``#split``.
    """
    for part in (spec, spec.rpartition("#")[0]):
        path = root / os.path.expanduser(part)  # noqa: PTH111 - "~nobody" is a name, no error
        if part and os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises what stat does
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


def is_gone_from(folder: Path, sample_id: str) -> bool:
    """Tell whether an image of a folder pool is gone although its part of the pool is there.

    Its part is the first folder on the way to it, which may be a disk of its own.

    Args:
        folder: The pool.
        sample_id: The image's path inside.
    """
    first, slash, _ = sample_id.partition("/")
    beside = os.path.join(folder, first) if slash else folder  # noqa: PTH118 - any bytes
    return is_gone(os.path.join(folder, sample_id), beside=beside)  # noqa: PTH118


def _holds_any(folder: str | os.PathLike[str]) -> bool:
    try:
        with os.scandir(folder) as listing:
            return next(listing, None) is not None
    except OSError:
        return False
