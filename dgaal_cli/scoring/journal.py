"""Journal of a scoring run: after a kill, the run can resume and writes the same table.

Results are saved in numbered files (shards) of some thousand rows each, in the order of the source,
in a folder next to the table. Each shard is written atomically. It contains its SHA-256, the
identity of the run (artifact, source, options) and a digest of all entries up to its end: ids, and
size and modification time of files. Entries of shards that no longer match are scored again.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import msgspec
import numpy as np

from dgaal_cli import atomic
from dgaal_cli.data.sources.base import Entry, Source
from dgaal_cli.errors import BusyError, InterruptedRunError, StorageError
from dgaal_cli.scoring.pipeline import ScoredBatch, stamp_of
from dgaal_cli.scoring.rows import FloatArray, Rows, pack, unpack

_VERSION = 3
FLUSH_S = 1.0
"""Seconds between two shards: a killed run loses at most this much work."""
_FLUSH_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Results of consecutive entries of the source."""

    rows: Rows
    features: FloatArray | None
    """(n, Z), of the readable rows, in their order."""
    end: int
    """Number of entries of the source up to the end of this shard."""
    chain: bytes
    """Digest of all these entries."""


class Journal:
    """The folder with the results of an unfinished table, locked by one process at a time."""

    def __init__(self, output: Path, identity: Mapping[str, str]) -> None:
        """Choose the folder for the table ``output``; ``with`` creates it.

        ``identity`` is everything that a row depends on, keyed by the name shown to users.
        """
        self.folder = output.with_name(f".{atomic.short_name(output)}.dgaal-score")
        self.mismatch = ""
        """How the stopped run differs, as text, if none of its results can be used."""
        self._identity = dict(identity)
        self._lock = -1
        self._chain = hashlib.blake2b(digest_size=32)
        self._end = 0
        self._number = 0
        self._waiting: list[ScoredBatch] = []
        self._waiting_rows = 0
        self._flushed_at = time.perf_counter()

    def __enter__(self) -> Self:
        """Create and lock the folder.

        Raises:
            BusyError: Another process writes the same table.
            StorageError: The folder cannot be created.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StorageError(
                f"cannot write in {self.folder.parent}: {error.strerror or error}; "
                "check the folder, its permissions and the disk"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise BusyError(
                f"another process is writing the table of the same name in "
                f"{self.folder.parent}; wait for it, or give another name with -o"
            ) from None
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Remove the folder; if the run stopped or failed, save the results instead."""
        try:
            if error is not None:
                with contextlib.suppress(StorageError):  # report the first error
                    self._flush()
            if error is None or not self._paths():
                shutil.rmtree(self.folder, ignore_errors=True)
            elif not isinstance(error, InterruptedRunError):  # its message already mentions it
                error.add_note("results up to the last save are kept for --resume")
        finally:
            os.close(self._lock)

    def clear(self) -> int:
        """Delete the results of earlier runs; return how many images ``resume`` could have used."""
        last = _fields(paths[-1]) if (paths := self._paths()) else None
        for path in self.folder.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)  # temporary files of a killed sort
            else:
                with contextlib.suppress(OSError if path.suffix != ".shard" else FileNotFoundError):
                    path.unlink()  # network file systems keep names of open files
        is_ours = last is not None and last[:2] == (_VERSION, self._identity)
        return int(last[2]) if last is not None and is_ours else 0

    def resume(self, source: Source) -> Iterator[Shard]:
        """Yield the results that are still valid, in order; ``done`` is then their number.

        Shards that do not match are deleted; if none matches, ``mismatch`` gives the reason.
        """
        entries = source.entries()
        for path in self._paths():
            shard = self._read(path) if path.stem == f"{self._number:08d}" else None
            if shard is None:
                break
            taken = list(islice(entries, shard.end - self._end))
            chain = self._chain.copy()
            _mix(chain, taken, map(stamp_of, taken))
            if len(taken) < shard.end - self._end or chain.digest() != shard.chain:
                break
            self._chain, self._end = chain, shard.end
            self._number += 1
            yield shard
        paths = self._paths()
        if paths and not self._number:
            self.mismatch = self._difference(paths[0])
        for path in paths[self._number :]:
            path.unlink()

    @property
    def done(self) -> int:
        """Number of entries of the source whose results are recorded."""
        return self._end + self._waiting_rows

    def add(self, batch: ScoredBatch) -> None:
        """Record results; they are written to disk about once a second."""
        self._waiting.append(batch)
        self._waiting_rows += len(batch.rows)
        waited = time.perf_counter() - self._flushed_at
        if waited >= FLUSH_S or self._waiting_rows >= _FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = Rows.concatenate([batch.rows for batch in self._waiting])
        for batch in self._waiting:
            _mix(self._chain, batch.entries, batch.stamps)
        self._end += len(rows)
        kept = [batch.features for batch in self._waiting if batch.features is not None]
        features = np.concatenate([part for part in kept if part.size] or kept) if kept else None
        width, floats = (-1, b"") if features is None else (features.shape[1], features.tobytes())
        fields = (_VERSION, self._identity, self._end, self._chain.digest(), pack(rows))
        body = msgspec.msgpack.encode((*fields, width, floats))
        path = self.folder / f"{self._number:08d}.shard"
        atomic.write_bytes(path, hashlib.sha256(body).digest() + body)
        self._number += 1
        self._waiting, self._waiting_rows = [], 0
        self._flushed_at = time.perf_counter()

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.shard"))

    def _read(self, path: Path) -> Shard | None:
        """Read one shard; None if it is damaged or belongs to another run."""
        fields = _fields(path)
        if fields is None or fields[:2] != (_VERSION, self._identity):
            return None
        _, _, end, chain, rows, width, floats = fields
        features = np.frombuffer(floats, np.float32).reshape(-1, width) if width > 0 else None
        return Shard(rows=unpack(rows), features=features, end=end, chain=chain)

    def _difference(self, path: Path) -> str:
        """Describe how an earlier run differs from this run."""
        fields = _fields(path)
        if fields is None:
            return "a damaged journal"
        if fields[0] != _VERSION:
            return "another version of dgaal"
        stored: dict[str, str] = fields[1]
        return (
            ", ".join(
                f"{name} {stored.get(name)}" if name.startswith("--") else f"another {name}"
                for name, value in self._identity.items()
                if stored.get(name) != value
            )
            or "other images at its start"
        )


def _fields(path: Path) -> tuple[Any, ...] | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    return tuple(cast("list[Any]", msgspec.msgpack.decode(data[32:])))


def _mix(digest: "hashlib.blake2b", entries: list[Entry], stamps: Iterable[str]) -> None:
    pairs = zip(entries, stamps, strict=True)
    identities = "".join([f"{entry.id}\0{stamp}\0" for entry, stamp in pairs])
    digest.update(identities.encode("utf-8", "surrogatepass"))


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in hex; surrogates are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
