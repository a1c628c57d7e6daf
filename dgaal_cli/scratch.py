"""Temporary files and folders: locked while their process lives, removed by a later one if not.

The kernel releases the lock of a killed process, so a free lock means that the file is litter.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"\.dgaal-[0-9a-f]{12}\.tmp")
_EARLIER = re.compile(
    r"\.(?:.+[.-](?:[0-9a-f]{12}|[0-9a-f]{8})\.tmp(?:-[a-z]+)?|init-[a-z0-9_]{8})"
)
"""Names in versions of dgaal that did not lock their temporary files."""
_swept: set[Path] = set()
"""Folders that this process has searched for litter."""


@contextmanager
def scratch(folder: Path, *, is_folder: bool = False) -> Generator[Path]:
    """Make an empty temporary file or folder, removed after the block unless it was renamed."""
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)
    with contextlib.ExitStack() as stack:
        yield _make(folder, stack, is_folder=is_folder)


def sweep(folder: Path) -> int:
    """Remove the temporary files of processes that have ended; return how many there were."""
    count = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - a pool may have a million files
            if _NAME.fullmatch(name):
                # In use, of another user, or on a file system without locks.
                with contextlib.suppress(OSError), _opened(folder / name) as descriptor:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(folder / name)
                    count += 1
    return count


def earlier_litter(folder: Path) -> list[Path]:
    """Return temporary files of earlier versions; without locks, they may be in use."""
    with contextlib.suppress(OSError):
        names = (name for name in os.listdir(folder) if _EARLIER.fullmatch(name))  # noqa: PTH208
        return [folder / name for name in sorted(names) if not _NAME.fullmatch(name)]
    return []


def _make(folder: Path, stack: contextlib.ExitStack, *, is_folder: bool) -> Path:
    while True:
        path = folder / f".dgaal-{secrets.token_hex(6)}.tmp"
        stack.callback(_remove, path)  # also if the file is made, but cannot be closed
        path.mkdir() if is_folder else path.touch(exist_ok=False)
        try:
            descriptor = stack.enter_context(_opened(path))
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue
        if path.exists():  # else another process removed it before it was locked
            return path


@contextmanager
def _opened(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
