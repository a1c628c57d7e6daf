"""Add rows to a cache: small shards every few seconds, merged into large ones.

A kill at any step leaves complete shards only, so at most some seconds of work are lost. If it
comes between the renaming of a large shard and the removal of the small ones in it, their rows are
stored twice until the next process merges.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from dgaal_cli.errors import BusyError, StorageError
from dgaal_cli.features.cache import FeatureCache, as_digests, space_folder
from dgaal_cli.features.shard import Digests, Rows, Shard, write_shard
from dgaal_cli.features.space import FeatureSpace

FLUSH_S = 5.0
"""Seconds between two small shards: a killed process loses at most this much work."""
SHARD_ROWS = 8192
"""Rows of a large shard."""
SHARD_BYTES = 32 * 2**20
"""Max. bytes of rows in a shard, for wide rows; what is kept in memory is bounded by it."""


class CacheWriter:
    """The only writer of one space of a cache, inside its ``with`` block."""

    def __init__(self, folder: Path, space: FeatureSpace, *, checks_all: bool = False) -> None:
        """See ``FeatureCache``; the folder is created when the block begins.

        ``checks_all`` reads and checks all shards; without it only the small ones, since a merge
        would seal damaged rows anew.
        """
        self._root, self._space = folder, space
        self._folder = space_folder(folder, space)
        self._limit = max(1, min(SHARD_ROWS, SHARD_BYTES // space.row_bytes))
        self._max_checked = sys.maxsize if checks_all else self._limit - 1
        self._stack = contextlib.ExitStack()
        self._digests: dict[bytes, None] = {}
        self._rows: list[Rows] = []
        self._flushed_at = time.perf_counter()
        self._cache: FeatureCache

    def __enter__(self) -> Self:
        """Lock the space and remove damaged shards; ``refused`` lists them.

        Raises:
            BusyError: Another process fills the same space of the cache.
            StorageError: The folder cannot be created or written.
        """
        with contextlib.ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._lock(stack)
                self.refused = self._reopen(max_checked=self._max_checked).refused
                for shard in self.refused:
                    if not shard.is_foreign:
                        shard.path.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(
                    f"cannot write the feature cache {self._folder}: {error.strerror or error}; "
                    "check the folder, its permissions and the disk"
                ) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Save the last rows, also if the block failed, and merge small shards."""
        with self._stack:
            try:
                self.flush()
            except StorageError:
                if error is None:  # report the first error
                    raise
            self._merge()

    def __len__(self) -> int:
        """Return the number of images in the cache, with those not saved yet."""
        return len(self._cache) + len(self._digests)

    def has(self, digest: bytes) -> bool:
        """Return whether the cache has a row for this SHA-256 of an image."""
        return digest in self._digests or int(self._cache.find(as_digests([digest]))[0]) >= 0

    def add(self, digests: Sequence[bytes], rows: Rows) -> None:
        """Add rows (n, D); images that have a row already are skipped.

        Raises:
            StorageError: The disk is full; what was saved before is kept.
        """
        new: list[int] = []
        for position, digest in enumerate(digests):
            if not self.has(digest):
                self._digests[digest] = None
                new.append(position)
        self._rows.append(rows[new].astype(self._space.numpy_dtype))
        is_late = time.perf_counter() - self._flushed_at >= FLUSH_S
        if is_late or len(self._digests) >= self._limit:
            self.flush()

    def flush(self) -> None:
        """Save the added rows as a shard; merge the small ones if they fill a large one."""
        if self._digests:
            block = np.concatenate(self._rows)
            write_shard(self._folder, self._space, as_digests(list(self._digests)), [block])
            self._digests, self._rows = {}, []
            self._reopen()
            if sum(len(shard) for shard in self._small()) >= self._limit:
                self._merge()
        self._flushed_at = time.perf_counter()

    def _lock(self, stack: contextlib.ExitStack) -> None:
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another process fills the feature cache {self._root} for the same encoder; "
                "wait for it, or stop it"
            ) from None

    def _reopen(self, *, max_checked: int = 0) -> FeatureCache:
        self._cache = FeatureCache(self._root, self._space, max_checked=max_checked)
        return self._cache

    def _small(self) -> list[Shard]:
        return [shard for shard in self._cache.shards if len(shard) < self._limit]

    def _merge(self) -> None:
        """Replace the small shards by as few as possible, if the disk has room for both."""
        small = self._small()
        if len(small) < 2:
            return
        digests, rows = _without_copies(self._cache, small)
        written: set[Path] = set()
        try:
            for start in range(0, len(digests), self._limit):
                part = slice(start, start + self._limit)
                block = self._cache.read(rows[part])
                written.add(write_shard(self._folder, self._space, digests[part], [block]))
        except StorageError:
            return
        for shard in small:
            if shard.path not in written:
                with contextlib.suppress(OSError):  # rows stored twice do no harm
                    shard.path.unlink()
        self._reopen()


def _without_copies(
    cache: FeatureCache, shards: Sequence[Shard]
) -> tuple[Digests, npt.NDArray[np.int64]]:
    """Return the images of some shards of a cache, and their rows, without rows used elsewhere."""
    digests: list[Digests] = []
    rows: list[npt.NDArray[np.int64]] = []
    for shard in shards:
        found, own = cache.find(shard.digests), cache.numbers(shard)
        digests.append(shard.digests[found == own])
        rows.append(own[found == own])
    return np.concatenate(digests), np.concatenate(rows)
