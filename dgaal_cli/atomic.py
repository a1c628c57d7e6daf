"""Atomic file writes: after a crash, a full disk or a power cut, the old or the new file is intact.

Steps: exclusive temporary file in the same folder, write, fsync, rename, fsync of the folder.
"""

import contextlib
import ctypes
import hashlib
import os
import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dgaal_cli.errors import StorageError, UsageError
from dgaal_cli.scratch import scratch

_SYNC_FILE_SYSTEM = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
"""``syncfs`` of Linux; None elsewhere."""
_SHORT = 40
"""Max. characters; each has up to four bytes, and a file name has up to 255 bytes."""


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``.

    Raises:
        StorageError: The disk is full or the folder is not writable; the old file is unchanged.
    """
    with replacing(path) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8."""
    write_bytes(path, text.encode())


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Open a stream whose content replaces ``path`` only if the block ends without an error."""
    try:
        with scratch(path.parent) as temporary:
            with temporary.open("wb") as stream:
                with contextlib.suppress(OSError):  # a replaced file keeps its permissions
                    os.fchmod(stream.fileno(), stat.S_IMODE(path.stat().st_mode))
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)  # noqa: PTH105 - tests replace os.replace
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; "
            "the previous file, if any, is unchanged"
        ) from error
    _confirm(path.parent, path.name)


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace several files of a folder; after an error of the disk, none is replaced.

    A process that is killed between two renames, which are in the order of ``files``, leaves a
    mixture; write a list of digests last.

    Raises:
        StorageError: The disk is full or the folder is not writable; the old files are unchanged.
    """
    renamed: list[str] = []
    try:
        with scratch(folder, is_folder=True) as new, scratch(folder, is_folder=True) as old:
            try:
                for name, data in files.items():
                    with (new / name).open("wb") as stream:
                        stream.write(data)
                        stream.flush()
                        os.fsync(stream.fileno())
                    if (folder / name).exists():
                        os.link(folder / name, old / name)
                for name in files:
                    os.replace(new / name, folder / name)  # noqa: PTH105 - as above
                    renamed.append(name)
            except BaseException:
                for name in reversed(renamed):
                    _restore(folder / name, old / name)
                raise
    except OSError as error:
        raise StorageError(
            f"cannot write into {folder}: {error.strerror or error}; "
            "the previous files, if any, are unchanged"
        ) from error
    _confirm(folder, f"{len(files)} files")


@contextmanager
def assembling(target: Path) -> Generator[Path]:
    """Yield an empty folder that is renamed to ``target`` if the block ends without error.

    All that is in it is synced before the renaming.

    Raises:
        UsageError: The target exists, and is not an empty folder.
        StorageError: The disk is full or not writable; nothing is kept.
    """
    target = target.absolute()
    try:
        is_used = target.is_symlink() or (target.exists() and not target.is_dir())
        if is_used or (target.exists() and any(target.iterdir())):
            raise UsageError(f"{target} exists already; name a new or an empty folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(target.parent, is_folder=True) as temporary:
            yield temporary
            _sync_tree(temporary)
            os.replace(temporary, target)  # noqa: PTH105
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
    _confirm(target.parent, target.name)


def _sync_tree(folder: Path) -> None:
    """Make a folder and all that is in it durable: by one call where the system has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _SYNC_FILE_SYSTEM is None:
            for inside, _, names in os.walk(folder):
                for path in (inside, *(f"{inside}/{name}" for name in names)):
                    if not os.path.islink(path):  # noqa: PTH114 - hot
                        sync_file(Path(path))
        elif _SYNC_FILE_SYSTEM(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the content of a closed file durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _confirm(folder: Path, what: str) -> None:
    try:
        sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"{what} in {folder} has the new content, but the disk did not "
            f"confirm it ({error.strerror or error}); check the disk and run the command again"
        ) from error


def _restore(path: Path, old: Path) -> None:
    with contextlib.suppress(OSError):  # report the first error
        if old.exists():
            os.replace(old, path)  # noqa: PTH105
        else:
            path.unlink(missing_ok=True)


def short_name(path: Path) -> str:
    """Return a file's name for use in a longer name; a long name is cut and gets a digest."""
    if len(path.name) <= _SHORT:
        return path.name
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=4).hexdigest()
    return f"{path.name[:_SHORT]}-{digest}"
