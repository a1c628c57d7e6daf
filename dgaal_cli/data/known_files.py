"""What was read of the files of a pool, so that files that did not change are not read again."""

import contextlib
import hashlib
import os
import struct
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from dgaal_cli import atomic
from dgaal_cli.errors import StorageError
from dgaal_cli.ids import SampleId

FILE_NAME = "pool-files"
"""Name in the cache folder of a workspace."""
_MARK = b"dgaal pool files 1\n"
_STATUS = struct.Struct("<qqq")
"""Size, time of modification and time of change of a file, before its digest in a row."""
_ROW_BYTES = _STATUS.size + 32
_SETTLED_NS = 1_000_000_000
"""A file may change again within one tick of its clock: only times before that prove anything."""


class KnownFiles:
    """The digest of each file of a pool, with the size and times at which it was computed.

    This is a cache: without it, files are read again. An entry proves that a file has not changed
    since it was read, whatever the label store says about its image.
    """

    def __init__(self) -> None:
        self.container = ""
        """``Source.stamp`` of an archive whose images were all compared with the store."""
        self._rows: dict[str, bytes] = {}
        """Rows as in the file, which need a third of the memory of their values."""
        self._is_changed = False

    @classmethod
    def load(cls, folder: Path) -> "KnownFiles":
        """Read the cache; empty if it is missing or damaged."""
        known = cls()
        with contextlib.suppress(OSError, ValueError):
            data = (folder / FILE_NAME).read_bytes()
            digest, body = data[len(_MARK) : len(_MARK) + 32], memoryview(data)[len(_MARK) + 32 :]
            if not data.startswith(_MARK) or hashlib.sha256(body).digest() != digest:
                return known
            end = int.from_bytes(body[:8])
            container, *names = os.fsdecode(bytes(body[8 : 8 + end])).split("\0")
            starts = range(len(data) - len(body) + 8 + end, len(data), _ROW_BYTES)
            rows = [data[start : start + _ROW_BYTES] for start in starts]
            known._rows = dict(zip(names, rows, strict=True))
            known.container = container
        return known

    def statuses(self, digests: Mapping[SampleId, bytes]) -> dict[str, bytes]:
        """Return sizes and times, as ``packed`` has them, of the files that had these digests."""
        rows, end = self._rows, _STATUS.size
        known = ((name, rows.get(name, b""), sha256) for name, sha256 in digests.items())
        return {name: row[:end] for name, row, sha256 in known if row[end:] == sha256}

    def digest(self, name: SampleId, status: os.stat_result) -> bytes | None:
        """Return the SHA-256 of a file that is unchanged since it was read, else None."""
        row = self._rows.get(name)
        if row is None or not row.startswith(packed(status)):
            return None
        return row[_STATUS.size :]

    def add(self, name: SampleId, status: os.stat_result, sha256: bytes) -> None:
        """Note the digest of a file; ``status`` is from before it was read."""
        if max(status.st_mtime_ns, status.st_ctime_ns) > time.time_ns() - _SETTLED_NS:
            return
        self._rows[name] = packed(status) + sha256
        self._is_changed = True

    def keep(self, listed: Collection[str]) -> None:
        """Forget files that are not listed."""
        if gone := self._rows.keys() - listed:
            for name in gone:
                del self._rows[name]
            self._is_changed = True

    def set_container(self, stamp: str) -> None:
        """Note that all images of an archive with this stamp were compared."""
        self._is_changed = self._is_changed or stamp != self.container
        self.container = stamp

    def save(self, folder: Path) -> None:
        """Write what is known, if anything is new.

        A disk that refuses is no error: the files are read again next time.
        """
        if not self._is_changed:
            return
        names = os.fsencode("\0".join([self.container, *self._rows]))
        body = len(names).to_bytes(8) + names + b"".join(self._rows.values())
        with contextlib.suppress(OSError, StorageError):
            folder.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(folder / FILE_NAME, _MARK + hashlib.sha256(body).digest() + body)
            self._is_changed = False


def packed(status: os.stat_result) -> bytes:
    """Return size and times of a file as bytes, to compare."""
    return _STATUS.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
