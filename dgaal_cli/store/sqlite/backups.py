"""Backups of the store: written with SQLite's backup interface, verified, then renamed.

They are named ``labels-NUMBER-TIME-REASON.db``. The number orders them: a clock may be set back.
Backups of earlier versions have no number and are older than all others.
"""

import contextlib
import os
import re
import sqlite3
import stat
from collections.abc import Generator
from pathlib import Path

from dgaal_cli.atomic import sync_file, sync_folder
from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.scratch import scratch
from dgaal_cli.store.sqlite import schema
from dgaal_cli.store.sqlite.connection import Database, translate
from dgaal_cli.store.sqlite.history import watermark

KEPT = 5
"""Number of backups kept; older ones are removed."""

EVERY = 500
"""Events between two automatic backups."""

_NUMBERED = re.compile(r"labels-([0-9]{6,})-[0-9]{8}T")


def folder_of(store: Path) -> Path:
    """Return the folder of a store's backups."""
    return store.parent / "backups"


def existing(store: Path) -> list[Path]:
    """Return the backups, newest first: by number, then by the events in them."""
    found = [path for path in folder_of(store).glob("labels-*.db") if path.is_file()]
    return sorted(found, key=lambda copy: (_number(copy), _events(copy), copy.name), reverse=True)


def overdue(store: Path, *, events: int) -> int | None:
    """Return the number of events that the newest intact backup lacks; None if no backup is due.

    Args:
        store: Path of the store.
        events: Number of events in the store.
    """
    due = events // EVERY * EVERY
    newest = next((n for copy in existing(store) if (n := _events(copy)) >= 0), 0) if due else 0
    return events - newest if newest < due else None


def make(database: Database, *, reason: str, stamp: str) -> Path:
    """Copy an open store, verify the copy, then rename it.

    The file is not copied byte by byte: closing it would release this process's locks on it.

    Args:
        database: The open store; writers wait during the copy.
        reason: One word of the file name.
        stamp: Time for the file name.

    Raises:
        StorageError: The disk is full or the folder is not writable; the store is not changed.
    """
    folder = folder_of(database.path)
    try:
        folder.mkdir(exist_ok=True)
        with scratch(folder, is_folder=True) as inside:
            temporary = inside / "labels.db"
            with database.gate():  # so a backup with fewer events never has a higher number
                number = 1 + max(map(_number, folder.glob("labels-*.db")), default=0)
                target = folder / f"labels-{number:06d}-{stamp}-{reason}.db"
                _copy(database.connection, temporary)
            temporary.chmod(stat.S_IMODE(database.path.stat().st_mode))
            _verify_new(temporary, folder)
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


def _verify_new(made: Path, folder: Path) -> None:
    try:
        verify(made)
    except WorkspaceError as error:
        raise StorageError(
            f"a backup in {folder} cannot be read back, because the store is damaged or the "
            "disk is full or failed; run 'dgaal labels check', and older backups are kept"
        ) from error


def prune(store: Path, *, made: Path, keep: int = KEPT) -> None:
    """Remove all but ``made`` and the newest backups; ignore files that cannot be removed."""
    with contextlib.suppress(OSError):
        for old in existing(store)[keep:]:
            if old != made:
                old.unlink(missing_ok=True)


def verify(copy: Path) -> int:
    """Check a closed backup and return its number of events.

    Raises:
        WorkspaceError: It is damaged or not a label store.
    """
    with _opened(copy) as connection:
        kind = connection.execute("PRAGMA application_id").fetchone()[0]
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
        if kind != schema.APPLICATION_ID or verdict != "ok" or orphan is not None:
            raise WorkspaceError(f"{copy} is damaged or not a label store of dgaal")
        return watermark(connection)


def _number(copy: Path) -> int:
    """Return the number in a backup's name; 0 if it has none."""
    found = _NUMBERED.match(copy.name)
    return int(found[1]) if found else 0


def _events(copy: Path) -> int:
    """Return the number of events in a backup without a full check; -1 if it is damaged."""
    with contextlib.suppress(WorkspaceError), _opened(copy) as connection:
        return watermark(connection)
    return -1


@contextlib.contextmanager
def _opened(copy: Path) -> Generator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise WorkspaceError(f"{copy} cannot be opened: {error}") from error
    try:
        with contextlib.closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise WorkspaceError(f"{copy} is damaged: {error}") from error


def _copy(source: sqlite3.Connection, target: Path) -> None:
    connection = sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(connection)
        # Without a WAL, a backup can be opened on a read-only disk.
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()
