"""Backups of the store: full copies, and deltas that continue them; verified, then renamed.

A full copy is named ``labels-NUMBER-TIME-REASON.db``, a delta
``labels-NUMBER-TIME-REASON-EVENTS.delta``. The number orders them: a clock may be set back. Backups
of earlier versions are full copies, some without a number; these are older than all others. A
backup is a *chain*: a full copy and the deltas up to its own; each names the file before it and
that file's digest.
"""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Generator
from functools import cache
from pathlib import Path

from dgaal_cli.atomic import sync_file, sync_folder
from dgaal_cli.errors import StorageError, StoreChangedError, WorkspaceError
from dgaal_cli.scratch import scratch
from dgaal_cli.store.sqlite import chains, deltas
from dgaal_cli.store.sqlite.chains import Point
from dgaal_cli.store.sqlite.connection import Database, translate
from dgaal_cli.store.sqlite.history import watermark

KEPT = 5
"""Minimum number of intact backups that are kept; their chains are kept whole."""
KEPT_FULL = 2
"""Minimum number of intact full copies that are kept, if there are so many."""

EVERY = 500
"""Events between two automatic backups."""

MAX_DELTAS = 100
"""Number of deltas after which a full copy is made; also when they are larger than the last one."""


def folder_of(store: Path) -> Path:
    """Return the folder of a store's backups."""
    return store.parent / "backups"


def existing(store: Path) -> list[Path]:
    """Return the backups, newest first: by number, then by the events in them."""
    return [point.path for point in chains.points(folder_of(store))]


def overdue(store: Path, *, events: int) -> int | None:
    """Return the number of events that the newest intact backup lacks; None if no backup is due.

    Args:
        store: Path of the store.
        events: Number of events in the store.
    """
    due = events // EVERY * EVERY
    points = chains.points(folder_of(store)) if due else []
    newest = next((point.events for point in points if point.chain), 0)
    return events - newest if newest < due else None


def make(
    database: Database, *, reason: str, stamp: str, is_full: bool = False, checks_all: bool = False
) -> Path:
    """Write a backup of an open store, verify it, then rename it.

    A full copy has every page of the store, which are all checked; a delta has the new rows.

    Args:
        database: The open store; writers wait while it is read.
        reason: One word of the file name.
        stamp: Time for the file name.
        is_full: Make a full copy, which needs no other file.
        checks_all: Check every page and reference of the store also for a delta.

    Raises:
        StorageError: The disk is full, the folder is not writable, or the store is damaged.
    """
    folder = folder_of(database.path)
    try:
        folder.mkdir(exist_ok=True)
        with scratch(folder, is_folder=True) as inside:
            temporary = inside / "labels.db"
            with database.gate():  # so a backup with fewer events never has a higher number
                found = None if is_full else _base(folder, database.connection)
                number = 1 + max(map(chains.number_of, folder.glob("labels-*")), default=0)
                name = f"labels-{number:06d}-{stamp}-{reason}"
                if found is None:
                    _copy(database.connection, temporary)
                    target = folder / f"{name}.db"
                else:
                    deltas.collect(database.connection, found[1], temporary)
                    events = watermark(database.connection)
                    target = folder / f"{name}-{events}{deltas.SUFFIX}"
            if found is not None and not _is_sound(found[0].chain[:2]):
                return make(database, reason=reason, stamp=stamp, is_full=True)
            with _damage_explained(folder):
                if found is None:
                    verify(temporary)
                else:
                    deltas.read(temporary)
                    if checks_all:
                        database.check()
            temporary.chmod(stat.S_IMODE(database.path.stat().st_mode))
            sync_file(temporary)
            os.replace(temporary, target)  # noqa: PTH105 - as in atomic, and tests can inject it
        sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write a backup to {folder}: {error.strerror or error}"
        ) from error
    except sqlite3.Error as error:
        raise translate(error, folder) or error from error
    return target


@contextlib.contextmanager
def _damage_explained(folder: Path) -> Generator[None]:
    try:
        yield
    except StoreChangedError:  # it says itself what is the matter
        raise
    except WorkspaceError as error:
        raise StorageError(
            f"a backup in {folder} cannot be read back, because the store is damaged or the "
            "disk is full or failed; no older backup was removed, run 'dgaal labels check'"
        ) from error


def prune(store: Path, *, made: Path) -> None:
    """Remove the oldest chains but keep ``made``; ignore files that cannot be removed.

    What stays has ``KEPT`` intact backups and ``KEPT_FULL`` full copies, if there are so many.
    """
    with contextlib.suppress(OSError):
        points = chains.points(folder_of(store))
        if sum(len(point.chain) == 1 for point in points) <= KEPT_FULL:
            return
        is_sound = cache(_is_sound)  # reads a whole file
        needed: set[Path] = {made}
        kept = full = 0
        for point in points:
            if kept >= KEPT and full >= KEPT_FULL and point.path not in needed:
                point.path.unlink(missing_ok=True)
            elif point.chain and is_sound(point.chain[:2]):
                needed.update(point.chain)
                kept, full = kept + 1, full + (len(point.chain) == 1)


def verify(copy: Path) -> int:
    """Check a backup with the files that it continues, and return its number of events.

    Raises:
        WorkspaceError: It is damaged or not a label store.
    """
    point = find(copy)
    if len(point.chain) == 1:
        return chains.check(copy, of=copy)
    with scratch(copy.parent, is_folder=True) as inside:
        return chains.compose(point, inside / "labels.db")


def find(copy: Path) -> Point:
    """Return the backup in a file, which may be in any folder.

    Raises:
        WorkspaceError: There is no such file.
    """
    if copy.suffix == deltas.SUFFIX:
        for point in chains.points(copy.parent):
            if point.path == copy:
                return point
    if not copy.is_file():
        raise WorkspaceError(f"there is no backup {copy}")
    return Point(path=copy, number=chains.number_of(copy), events=-1, chain=(copy,))


def _is_sound(start: tuple[Path, ...]) -> bool:
    """Check the full copy of a chain: its digest if a delta has it, else every page.

    Args:
        start: The first two files of the chain, or the full copy alone.
    """
    full, *rest = start
    with contextlib.suppress(OSError, WorkspaceError):
        if rest:
            return chains.digest(full) == deltas.read(rest[0]).header.base_sha256
        chains.check(full, of=full)
        return True
    return False


def _base(folder: Path, connection: sqlite3.Connection) -> tuple[Point, deltas.Base] | None:
    """Return a backup that a delta can continue; None if a full copy is due."""
    newest = next((point for point in chains.points(folder) if point.chain), None)
    with contextlib.suppress(OSError, WorkspaceError, sqlite3.Error):  # damaged or removed now
        if newest is None or len(newest.chain) > MAX_DELTAS:
            return None
        full, *rest = (path.stat().st_size for path in newest.chain)
        if sum(rest) > full:
            return None
        base = _describe(newest)
        return (newest, base) if deltas.continues(connection, base) else None
    return None


def _describe(point: Point) -> deltas.Base:
    if point.sha256:
        header = deltas.read(point.path).header
        version, marks, sha256 = header.version, header.marks, point.sha256
    else:
        with chains.reading(point.path) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            marks = deltas.read_marks(connection)
        sha256 = chains.digest(point.path)
    return deltas.Base(name=point.path.name, sha256=sha256, version=version, marks=marks)


def _copy(source: sqlite3.Connection, target: Path) -> None:
    connection = sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(connection)
        # Without a WAL, a backup can be opened on a read-only disk.
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()
