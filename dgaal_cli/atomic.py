"""Atomic file writes: after a crash, a full disk or a power cut the old or the new file is whole.

Recipe: exclusive temporary file in the same folder, write, fsync, rename, fsync of the folder.
"""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dgaal_cli.errors import StorageError
from dgaal_cli.harmless import show


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
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with _exclusive(temporary) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - same call, and the injectable name
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {show(str(path))}: {error.strerror or error}; "
            "the previous file, if any, is unchanged"
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{show(str(path))} is written, but the disk did not confirm it "
            f"({error.strerror or error}); check the disk and run the command again"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exclusive(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o666), "wb")
