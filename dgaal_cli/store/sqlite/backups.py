"""Verified copies of the store: made with SQLite's backup interface, renamed when proven whole."""

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

from dgaal_cli.atomic import sync_file, sync_folder
from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.store.sqlite import schema
from dgaal_cli.store.sqlite.connection import Database, discard, translate

KEPT = 5
"""Automatic copies kept; older ones are removed."""


EVERY = 500
"""Events between two automatic copies."""


def folder_of(store: Path) -> Path:
    """Folder of a store's copies."""
    return store.parent / "backups"


def existing(store: Path) -> list[Path]:
    """Return the copies, newest first."""
    folder = folder_of(store)
    return sorted(folder.glob("labels-*.db"), reverse=True) if folder.is_dir() else []


def overdue(store: Path, *, events: int) -> int | None:
    """Tell how many events the newest sound copy lacks, if a copy should have been made since.

    Whatever kept it from being made (a full disk, a permission, a hand), the answer is the same.

    Args:
        store: The store.
        events: How many it holds.

    Returns:
        Events that no copy holds; None where the copies are as they should be.
    """
    wanted = events // EVERY * EVERY
    newest = 0
    for copy in existing(store) if wanted else []:
        with contextlib.suppress(WorkspaceError):
            newest = _event_count(copy)
            break
    return events - newest if newest < wanted else None


def make(database: Database, *, reason: str, stamp: str) -> Path:
    """Copy an open store, check the copy, then give it its name.

    The file is never read byte by byte: closing it would drop this process's locks on it.

    Args:
        database: The open store; writers wait meanwhile.
        reason: One word of the file name: what the copy was made before.
        stamp: Instant for the file name, so that names sort by age.

    Raises:
        StorageError: No room or no permission; the store itself is untouched.
    """
    folder = folder_of(database.path)
    target = folder / f"labels-{stamp}-{reason}.db"
    temporary = folder / f".{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(exist_ok=True)
        with database.gate():
            _copy(database.connection, temporary)
        _prove(temporary)
        sync_file(temporary)
        os.replace(temporary, target)  # noqa: PTH105 - same call, and the injectable name
        sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write a backup to {folder}: {error.strerror or error}"
        ) from error
    except sqlite3.Error as error:
        raise translate(error, temporary) or error from error
    finally:
        discard(temporary)
    return target


def _prove(made: Path) -> None:
    try:
        verify(made)
    except WorkspaceError as error:  # the store is sound: what failed is the disk
        raise StorageError(
            f"a backup in {made.parent} cannot be read back; "
            "make room or check the disk and try again"
        ) from error


def prune(store: Path, *, keep: int = KEPT) -> None:
    """Remove all but the newest copies; one that cannot be removed stays."""
    with contextlib.suppress(OSError):
        for old in existing(store)[keep:]:
            old.unlink(missing_ok=True)


def verify(copy: Path) -> int:
    """Check a closed copy and return how many events it holds.

    Raises:
        WorkspaceError: It is damaged or no label store.
    """
    try:
        connection = sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise WorkspaceError(f"{copy} cannot be opened: {error}") from error
    try:
        kind = connection.execute("PRAGMA application_id").fetchone()[0]
        sound = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if kind != schema.APPLICATION_ID or sound != "ok":
            raise WorkspaceError(f"{copy} is damaged or no label store of dgaal")
        return _events(connection)
    except sqlite3.Error as error:
        raise WorkspaceError(f"{copy} is damaged: {error}") from error
    finally:
        connection.close()


def _event_count(copy: Path) -> int:
    """Read one number of a copy without examining all of it."""
    try:
        connection = sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)
        with contextlib.closing(connection):
            return _events(connection)
    except sqlite3.Error as error:
        raise WorkspaceError(f"{copy} is damaged: {error}") from error


def _events(connection: sqlite3.Connection) -> int:
    # Events are never deleted, so the newest number is their count.
    return int(connection.execute("SELECT ifnull(max(event_id), 0) FROM event").fetchone()[0])


def _copy(source: sqlite3.Connection, target: Path) -> None:
    connection = sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(connection)
        # A copy must open on a read-only disk, so it carries no WAL.
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()
