"""Read one regular file of a pool, or the one that a link names; refuse pipes and devices."""

import os
import stat

from dgaal_cli.data.unreadable import UnreadableImageError

MAX_FILE_BYTES = 256 * 2**20
"""Larger files are refused: a photograph of 64 megapixels needs a tenth of this size."""

# O_NONBLOCK: otherwise opening a pipe without a writer would block.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def read_file(path: bytes | str, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of one regular file; see ``read_dated_file``."""
    return read_dated_file(path, limit=limit)[0]


def read_dated_file(path: bytes | str, *, limit: int = MAX_FILE_BYTES) -> tuple[bytes, int]:
    """Return the bytes of one regular file, and its modification time in nanoseconds.

    Args:
        path: Path of the file, or of a symbolic link to it.
        limit: Max. size in bytes.

    Raises:
        UnreadableImageError: The file is missing, not regular, too large or not readable.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise UnreadableImageError(_refusal(path, error)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImageError(f"not a regular file ({kind_of(status.st_mode)})")
        if status.st_size > limit:
            raise UnreadableImageError(f"file larger than {limit // 2**20} MiB")
        return _read_all(descriptor, status.st_size, limit), status.st_mtime_ns
    except OSError as error:
        raise UnreadableImageError(
            f"cannot be read: {(error.strerror or 'i/o error').lower()}"
        ) from None
    finally:
        os.close(descriptor)


def kind_of(mode: int) -> str:
    """Return the name of a file system entry's type."""
    kinds = {
        stat.S_IFLNK: "symbolic link",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
        stat.S_IFDIR: "folder",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")


def _read_all(descriptor: int, expected: int, limit: int) -> bytes:
    data = os.read(descriptor, expected + 1)  # one call for the usual file
    if len(data) == expected:
        return data
    parts = [data]
    size = len(data)
    while parts[-1]:  # the file grew while it was read, or the kernel returned a part
        parts.append(os.read(descriptor, 2**20))
        size += len(parts[-1])
        if size > limit:
            raise UnreadableImageError(f"file larger than {limit // 2**20} MiB")
    return b"".join(parts)


def _refusal(path: bytes | str, error: OSError) -> str:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - bytes
    except OSError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        return f"not a regular file ({kind_of(mode)})"
    return f"cannot be read: {(error.strerror or 'i/o error').lower()}"
