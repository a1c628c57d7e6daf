"""Sort rows into table order within bounded memory: keep the best N, or sort in files."""

import contextlib
import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Protocol, Self, cast

import numpy as np

from dgaal_cli.errors import StorageError
from dgaal_cli.escaping import show
from dgaal_cli.scoring.rows import BLOCK_ROWS, FloatArray, Row, Rows, pack, unpack

ROWS_IN_MEMORY = 100_000
"""A larger table is sorted in runs, which are temporary files."""
_FAN_IN = 64
"""Max. runs merged at once; more could exceed the limit of open files."""
_PARTS = 2_000
"""Max. separate parts in memory: columns of few rows need more memory than the rows themselves."""
_LENGTH = struct.Struct("<Q")


class Ranking(Protocol):
    """Accepts rows in any order and returns them in table order."""

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:
        """Add rows, and the features (n, Z) of the readable rows, which few rankings use."""
        ...

    def ranked(self) -> Iterator[Rows]:
        """Return all rows in table order, in blocks; call it once, after the last ``add``."""
        ...


class TopRanking:
    """The best ``count`` scored images, without unreadable ones: see ``BestThenUnreadable``."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._parts: list[Rows] = []
        self._kept = 0

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:  # noqa: ARG002
        """Add rows, and drop rows that cannot be among the best any more."""
        readable = rows.readable()
        if not len(readable):
            return
        self._parts.append(readable)
        self._kept += len(readable)
        # Cutting at twice the size costs one sort per ``count`` rows.
        if self._kept > 2 * self._count + BLOCK_ROWS:
            self._cut()

    def ranked(self) -> Iterator[Rows]:
        """Return the best rows, best first."""
        best = self._cut()
        return best.blocks(np.arange(len(best)), BLOCK_ROWS)

    def _cut(self) -> Rows:
        rows = Rows.concatenate(self._parts)
        best = rows.take(rows.order()[: self._count])
        self._parts, self._kept = [best], len(best)
        return best


class FullRanking:
    """All rows; more than ``rows_in_memory`` are sorted through runs in unnamed files."""

    def __init__(self, folder: Path | None = None, *, rows_in_memory: int = ROWS_IN_MEMORY) -> None:
        """Start without rows; without a ``folder``, runs are in the system's temporary folder."""
        self._folder = folder
        self._limit = rows_in_memory
        self._parts: list[Rows] = []
        self._held = 0
        self._runs: list[BinaryIO] = []

    def __enter__(self) -> Self:
        """Return self; leaving the block removes the runs."""
        return self

    def __exit__(self, *_raised: object) -> None:
        for run in self._runs:
            with contextlib.suppress(OSError):  # closing flushes, which fails on a full disk
                run.close()

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:  # noqa: ARG002
        """Add rows."""
        self._parts.append(rows)
        self._held += len(rows)
        if len(self._parts) > _PARTS:
            self._parts = [Rows.concatenate(self._parts)]
        if self._held >= self._limit:
            self._spill(self._sorted())
            self._parts, self._held = [], 0
            if len(self._runs) >= _FAN_IN:
                self._merge_runs()

    def ranked(self) -> Iterator[Rows]:
        """Return all rows, best first, unreadable rows last."""
        if not self._runs:
            return self._sorted()
        held = (row for rows in self._sorted() for row in rows)
        return _blocks(heapq.merge(*map(_read_run, self._runs), held))

    def _sorted(self) -> Iterator[Rows]:
        rows = Rows.concatenate(self._parts)
        return rows.blocks(rows.order(), BLOCK_ROWS)

    def _merge_runs(self) -> None:
        runs, self._runs = self._runs, []
        self._spill(_blocks(heapq.merge(*map(_read_run, runs))))
        for run in runs:
            run.close()

    def _spill(self, blocks: Iterable[Rows]) -> None:
        try:
            run = cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115
            self._runs.append(run)
            for block in blocks:
                data = pack(block)
                run.write(_LENGTH.pack(len(data)))
                run.write(data)
            run.flush()
        except OSError as error:
            folder = show(str(self._folder or tempfile.gettempdir()))
            raise StorageError(
                f"cannot sort the table in {folder}: {error.strerror or error}; "
                "free some space, or request fewer rows with --top"
            ) from error


class BestThenUnreadable:
    """A ranking of the best rows, followed by all unreadable rows."""

    def __init__(self, best: Ranking, unreadable: FullRanking) -> None:
        self._best = best
        self._unreadable = unreadable

    def add(self, rows: Rows, features: FloatArray | None = None) -> None:
        """Add rows, and the features of the readable rows."""
        if rows.is_unreadable.any():
            self._unreadable.add(rows.unreadable())
        self._best.add(rows, features)

    def ranked(self) -> Iterator[Rows]:
        """Return the best rows, then the unreadable rows in the order of their ids."""
        return chain(self._best.ranked(), self._unreadable.ranked())


def _blocks(rows: Iterator[Row]) -> Iterator[Rows]:
    while block := list(islice(rows, BLOCK_ROWS)):
        yield Rows.of(block)


def _read_run(run: BinaryIO) -> Iterator[Row]:
    run.seek(0)
    while header := run.read(_LENGTH.size):
        yield from unpack(run.read(_LENGTH.unpack(header)[0]))
