"""Read one file of a pool without being led astray by links, pipes or devices."""

import os
import stat

from dgaal_cli.data.unreadable import UnreadableImageError

MAX_FILE_BYTES = 256 * 2**20
"""Encoded images above this are refused: a photograph of 64 megapixels needs a tenth of it."""

# O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


def read_file(path: bytes | str, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of one regular file; see ``read_dated_file``."""
    return read_dated_file(path, limit=limit)[0]


def read_dated_file(path: bytes | str, *, limit: int = MAX_FILE_BYTES) -> tuple[bytes, int]:
    """Return the bytes of one regular file, and its time of change in nanoseconds.

    Args:
        path: Where it lies; the last component is not followed if it is a symbolic link.
        limit: Largest size in bytes.

    Raises:
        UnreadableImageError: It is gone, no regular file, too large or not readable.
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
    """Name what a file system entry is."""
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
    while parts[-1]:  # it grows while it is read, or the kernel returned a part
        parts.append(os.read(descriptor, 2**20))
        size += len(parts[-1])
        if size > limit:
            raise UnreadableImageError(f"file larger than {limit // 2**20} MiB")
    return b"".join(parts)


def _refusal(path: bytes | str, error: OSError) -> str:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        return f"not a regular file ({kind_of(mode)})"
    return f"cannot be read: {(error.strerror or 'i/o error').lower()}"
