"""Check whether files of a pool exist, without NumPy."""

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from dgaal_cli.data.page_names import file_and_page
from dgaal_cli.errors import StorageError

_T = TypeVar("_T")
_MISSING = (FileNotFoundError, NotADirectoryError)


class PoolGoneError(StorageError):
    """The pool is missing as a whole: a wrong path, or a disk that is not mounted."""


def check_pool(root: Path, spec: str, known: Iterable[_T], is_there: Callable[[_T], bool]) -> None:
    """Raise ``PoolGoneError`` unless a pool exists and contains one of its ``known`` images."""
    remedy = "mount its disk, or correct pool.source in dgaal.toml; no image was set aside"
    paths = _paths(root, spec)
    is_name = ":" in spec.partition("/")[0] or "{" in spec
    if not is_name and not any(map(may_exist, paths)):
        raise PoolGoneError(f"the pool {paths[0]} does not exist; {remedy}")
    is_known = False
    for item in known:
        if is_there(item):
            return
        is_known = True
    if is_known:
        raise PoolGoneError(
            f"the pool {paths[0]} contains none of the images that init read; {remedy}"
        )


def folder_of(root: Path, spec: str) -> Path | None:
    """Return the folder of a folder pool; None for other pools, and after a disk error."""
    # Path.is_dir raises what stat does.
    return next((path for path in _paths(root, spec) if os.path.isdir(path)), None)  # noqa: PTH112


def is_device(root: Path, spec: str) -> bool:
    """Return whether a SOURCE is a device, a pipe or a socket."""
    for path in _paths(root, spec):
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - tests let it fail
        except (OSError, ValueError):
            continue
        return not (stat.S_ISDIR(mode) or stat.S_ISREG(mode))
    return False


def may_exist(path: str | os.PathLike[str]) -> bool:
    """Return False only if a path, or what its link names, is known not to exist.

    A disk may have an error.
    """
    try:
        os.stat(path)  # noqa: PTH116 - tests let it fail
    except _MISSING:
        return False
    except (OSError, ValueError):
        return True
    return True


def is_gone(path: str | os.PathLike[str], *, beside: str | os.PathLike[str]) -> bool:
    """Return whether a file is missing although its pool exists.

    False if the file cannot be accessed, or if ``beside``, a folder above it, is empty: a disk that
    is not mounted leaves an empty folder.
    """
    return not may_exist(path) and not _is_empty(beside)


def is_gone_from(folder: Path, sample_id: str) -> bool:
    """Return whether an image of a folder pool is missing although its part of the pool exists.

    Its part is the top folder of ``sample_id``, which may be a separate disk.
    """
    sample_id, _ = file_and_page(sample_id)
    first, slash, _ = sample_id.partition("/")
    beside = os.path.join(folder, first) if slash else folder  # noqa: PTH118 - any bytes
    return is_gone(os.path.join(folder, sample_id), beside=beside)  # noqa: PTH118


def _is_empty(folder: str | os.PathLike[str]) -> bool:
    try:
        with os.scandir(folder) as listing:
            return next(listing, None) is None
    except OSError:
        return True


def _paths(root: Path, spec: str) -> list[Path]:
    """Return the paths that SOURCE may mean: with ``#`` as part of the name, or as a mark."""
    parts = filter(None, (spec, spec.rpartition("#")[0]))
    return [root / os.path.expanduser(part) for part in parts]  # noqa: PTH111 - "~nobody" is valid
