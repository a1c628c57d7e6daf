"""The backups of a folder as chains: a full copy, and the deltas that continue it."""

import contextlib
import hashlib
import re
import shutil
import sqlite3
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.store.sqlite import deltas, schema
from dgaal_cli.store.sqlite.connection import translate
from dgaal_cli.store.sqlite.history import watermark

_NUMBERED = re.compile(r"labels-([0-9]{6,})-[0-9]{8}T")
_EVENTS = re.compile(r"-([0-9]+)\.delta$")

_CACHE_KIB = 16 << 10
"""Cache of a check, which reads the pages of each index in the order of its table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A backup: a state of the store that can be restored if the chain is intact."""

    path: Path
    number: int
    """The number in the name; 0 if it has none."""
    events: int
    """Number of events; -1 if the file is damaged and its name does not contain it."""
    chain: tuple[Path, ...]
    """The full copy, then the deltas up to this one; empty if a file is damaged or missing."""
    sha256: str = ""
    """Digest in the first line of a delta."""


def number_of(backup: Path) -> int:
    """Return the number in a backup's name; 0 if it has none."""
    found = _NUMBERED.match(backup.name)
    return int(found[1]) if found else 0


def points(folder: Path) -> list[Point]:
    """Return the backups of a folder, newest first: by number, then by events.

    Deltas are read and their digests checked; of full copies only the newest event is read.
    """
    found = {path.name: _full(path) for path in folder.glob("labels-*.db") if path.is_file()}
    names = sorted(folder.glob(f"labels-*{deltas.SUFFIX}"), key=number_of)
    for path in names:  # the number of a delta is larger than that of the backup before it
        found[path.name] = _delta(path, found)
    return sorted(
        found.values(),
        key=lambda point: (point.number, point.events, point.path.name),
        reverse=True,
    )


def compose(point: Point, target: Path) -> int:
    """Write the store of a backup to a new file, check all of it, and return its number of events.

    Raises:
        WorkspaceError: A file of the chain is damaged or missing, or it is not a label store.
        StorageError: The disk is full.
    """
    if not point.chain:
        raise WorkspaceError(f"{point.path} is damaged, or a backup that it continues is missing")
    full, *rest = point.chain
    try:
        shutil.copyfile(full, target)
        if rest:
            if digest(target) != deltas.read(rest[0]).header.base_sha256:
                raise WorkspaceError(f"{full} is damaged, and {point.path} continues it")
            with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = MEMORY")
                connection.execute("PRAGMA synchronous = OFF")  # the caller syncs what it keeps
                deltas.apply(connection, map(deltas.read, rest))
    except sqlite3.Error as error:
        translated = translate(error, target)
        if isinstance(translated, StorageError):
            raise translated from error
        raise WorkspaceError(f"{point.path} is damaged: {error}") from error
    return check(target, of=point.path)


def check(store: Path, *, of: Path) -> int:
    """Check every page and reference of a closed store and return its number of events.

    Args:
        store: File to check.
        of: The backup in it, for the message.

    Raises:
        WorkspaceError: It is damaged or not a label store.
    """
    try:
        with reading(store) as connection:
            connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB:d}")
            kind = connection.execute("PRAGMA application_id").fetchone()[0]
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
            if kind != schema.APPLICATION_ID or verdict != "ok" or orphan is not None:
                raise WorkspaceError(f"{of} is damaged or not a label store of dgaal")
            return watermark(connection)
    except sqlite3.Error as error:
        raise WorkspaceError(f"{of} is damaged: {error}") from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def reading(copy: Path) -> Generator[sqlite3.Connection]:
    """Open a closed store for reading."""
    connection = sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)
    with contextlib.closing(connection):
        yield connection


def _full(path: Path) -> Point:
    events = -1
    with contextlib.suppress(sqlite3.Error), reading(path) as connection:
        events = watermark(connection)
    chain = (path,) if events >= 0 else ()
    return Point(path=path, number=number_of(path), events=events, chain=chain)


def _delta(path: Path, known: dict[str, Point]) -> Point:
    name = _EVENTS.search(path.name)
    events, chain, sha256 = int(name[1]) if name else -1, (), ""
    with contextlib.suppress(WorkspaceError):
        delta = deltas.read(path)
        base = known.get(delta.header.base)
        if base is not None and base.chain and base.sha256 in ("", delta.header.base_sha256):
            events, chain, sha256 = delta.header.events, (*base.chain, path), delta.sha256
    return Point(path=path, number=number_of(path), events=events, chain=chain, sha256=sha256)
