"""Atomic file writes: after a crash, a full disk or a power cut the old or the new file is whole.

Recipe: exclusive temporary file in the same folder, write, fsync, rename, fsync of the folder.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dgaal_cli.errors import StorageError

_SHORT = 40
"""Characters: each has up to four bytes, and a name has up to 255 of them."""


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``.

    Raises:
        StorageError: The disk is full or the folder not writable; the old file is untouched.
    """
    with replacing(path) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8."""
    write_bytes(path, text.encode())


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Open a stream whose content takes the name ``path`` only if the block ends without error."""
    temporary = _temporary(path)
    try:
        with _exclusive(temporary) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - same call, and the injectable name
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; "
            "the previous file, if any, is unchanged"
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _confirm(path.parent, path.name)


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace several files of a folder: all of them or, where the disk fails, none.

    A process that is killed between two renames leaves a mixture; write a list of digests last.

    Args:
        folder: Where they lie.
        files: Content by name, in the order in which they take their names.

    Raises:
        StorageError: The disk is full or the folder not writable; the old files are untouched.
    """
    new = {name: _temporary(folder / name) for name in files}
    old = {name: _temporary(folder / name) for name in files}
    taken: list[str] = []
    try:
        for name, data in files.items():
            with _exclusive(new[name]) as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if (folder / name).exists():
                os.link(folder / name, old[name])
        for name, temporary in new.items():
            os.replace(temporary, folder / name)  # noqa: PTH105 - same call, and the injectable name
            taken.append(name)
    except BaseException as error:
        for name in reversed(taken):
            _put_back(folder / name, old[name])
        if not isinstance(error, OSError):
            raise
        raise StorageError(
            f"cannot write into {folder}: {error.strerror or error}; "
            "the previous files, if any, are unchanged"
        ) from error
    finally:
        for temporary in (*new.values(), *old.values()):
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    _confirm(folder, f"{len(files)} files")


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
            f"{what} in {folder} took the new content, but the disk did not "
            f"confirm it ({error.strerror or error}); check the disk and run the command again"
        ) from error


def _put_back(path: Path, old: Path) -> None:
    with contextlib.suppress(OSError):  # the first error is the one to tell
        if old.exists():
            os.replace(old, path)  # noqa: PTH105
        else:
            path.unlink(missing_ok=True)


def short_name(path: Path) -> str:
    """Name a file within a longer name beside it: its own name, or a start and a digest of that."""
    if len(path.name) <= _SHORT:
        return path.name
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=4).hexdigest()
    return f"{path.name[:_SHORT]}-{digest}"


def _temporary(path: Path) -> Path:
    return path.with_name(f".{short_name(path)}.{secrets.token_hex(6)}.tmp")


def _exclusive(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o666), "wb")
