"""Check whether files of a pool exist, without NumPy."""

import os
from pathlib import Path

_MISSING = (FileNotFoundError, NotADirectoryError)


def folder_of(root: Path, spec: str) -> Path | None:
    """Return the folder of a folder pool; None for pools of another kind.

    Also None if the folder cannot be accessed, for example after a disk error.

    Args:
        root: Folder that a relative SOURCE is relative to.
        spec: SOURCE, optionally with ``#split``.
    """
    for part in (spec, spec.rpartition("#")[0]):
        path = root / os.path.expanduser(part)  # noqa: PTH111 - "~nobody" is a valid name
        if part and os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises what stat does
            return path
    return None


def is_gone(path: str | os.PathLike[str], *, beside: str | os.PathLike[str]) -> bool:
    """Return whether a file is missing although its pool exists.

    False if the file cannot be accessed, or if the pool is empty: a disk that is not mounted leaves
    an empty folder.

    Args:
        path: Path of the file.
        beside: A folder above it that contains more of the pool.
    """
    try:
        os.lstat(path)
    except _MISSING:
        return not _is_empty(beside)
    except (OSError, ValueError):
        return False
    return False


def is_gone_from(folder: Path, sample_id: str) -> bool:
    """Return whether an image of a folder pool is missing although its part of the pool exists.

    Its part is the top folder of ``sample_id``, which may be a separate disk.

    Args:
        folder: The pool.
        sample_id: Path of the image in the pool.
    """
    first, slash, _ = sample_id.partition("/")
    beside = os.path.join(folder, first) if slash else folder  # noqa: PTH118 - any bytes
    return is_gone(os.path.join(folder, sample_id), beside=beside)  # noqa: PTH118


def _is_empty(folder: str | os.PathLike[str]) -> bool:
    try:
        with os.scandir(folder) as listing:
            return next(listing, None) is None
    except OSError:
        return True
