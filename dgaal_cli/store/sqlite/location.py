"""Create, open, upgrade and restore SQLite stores."""

import contextlib
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from dgaal_cli.atomic import sync_folder
from dgaal_cli.errors import StorageError, UsageError, WorkspaceError
from dgaal_cli.scratch import scratch
from dgaal_cli.store.instants import Clock, system_clock, to_iso, to_microseconds
from dgaal_cli.store.protocol import LEASE_S, Store
from dgaal_cli.store.records import Restored
from dgaal_cli.store.sqlite import backups, chains, filesystem, projection, restore, schema
from dgaal_cli.store.sqlite.connection import Database, create_file
from dgaal_cli.store.sqlite.store import SqliteStore

_NETWORK = "network_folder"
"""Key in ``meta``: the user accepted a network file system."""
_UNFINISHED = "unfinished"
"""Key in ``meta``: ``build`` has not ended; the value is the number of the newest event then."""


class SqliteLocation:
    """A ``StoreLocation``; its methods are documented in ``store.protocol``."""

    def __init__(self, path: str, base: Path = Path()) -> None:
        self.path = base / path

    def exists(self) -> bool:
        return self.path.exists() and not self._is_unfinished()

    def create(self, *, clock: Clock = system_clock, accepts_network_folder: bool = False) -> Store:
        meta = {"workspace_id": uuid.uuid4().hex, "created": to_iso(to_microseconds(clock()))}
        create_file(self.path, meta)
        return self.open(clock=clock, accepts_network_folder=accepts_network_folder)

    @contextmanager
    def build(
        self, *, then: Callable[[], object], accepts_network_folder: bool = False
    ) -> Generator[Store]:
        self._remove_unfinished()
        moved: list[Path] = []
        with scratch(self.path.parent, is_folder=True) as folder:
            try:
                made = SqliteLocation(self.path.name, folder)
                with made.create(accepts_network_folder=accepts_network_folder) as store:
                    yield store
                    _mark_unfinished(store)
                self._move_in(made.path, moved)
                shutil.rmtree(folder)
                then()
            except BaseException:  # files that stay would block the next attempt
                for target in moved:
                    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
                raise
        _forget_unfinished(self.path)

    def _move_in(self, made: Path, moved: list[Path]) -> None:
        """Move a store and its backups here; append what was moved. Nothing is replaced."""
        if backups.folder_of(made).exists():
            target = backups.folder_of(self.path)
            os.rename(backups.folder_of(made), target)  # noqa: PTH104 - fails if it has files
            moved.append(target)
        try:
            os.link(made, self.path)
        except FileExistsError:
            raise UsageError(f"{self.path} exists already; it was not changed") from None
        moved.append(self.path)
        sync_folder(self.path.parent)

    def _is_unfinished(self) -> bool:
        with contextlib.suppress(sqlite3.Error), chains.reading(self.path) as connection:
            # An event after the one that the mark names is a label: then nothing is removed.
            found = connection.execute(
                "SELECT 1 FROM meta WHERE key = ? AND "
                "value = (SELECT CAST(ifnull(max(event_id), 0) AS TEXT) FROM event)",
                (_UNFINISHED,),
            )
            return found.fetchone() is not None
        return False

    def _remove_unfinished(self) -> None:
        """Remove what a killed ``build`` left: no label was ever given in it."""
        if self.path.exists() and self._is_unfinished():
            shutil.rmtree(backups.folder_of(self.path), ignore_errors=True)
            self.path.unlink()

    def open(
        self,
        *,
        clock: Clock = system_clock,
        read_only: bool = False,
        lease_s: float = LEASE_S,
        accepts_network_folder: bool = False,
        checks_all: bool = False,
    ) -> Store:
        database = Database(self.path, is_read_only=read_only)
        try:
            store = SqliteStore(database)
            database.connection.clock, database.connection.lease_s = clock, lease_s
            if not read_only:
                _check_place(database, is_accepted=accepts_network_folder)
            if database.version() != schema.latest_version():
                if read_only:
                    database.close()
                    self._upgrade_first(clock)
                    return self.open(clock=clock, read_only=True, lease_s=lease_s)
                _upgrade(database, store)
                database.check()
            database.check(is_bounded=not checks_all)
            if not checks_all:
                with database.read() as connection:
                    projection.check_newest(connection, self.path)
        except BaseException:
            database.close()
            raise
        return store

    def _upgrade_first(self, clock: Clock) -> None:
        try:
            self.open(clock=clock).close()
        except StorageError as error:
            raise WorkspaceError(
                f"{self.path} was written by an older dgaal and must be upgraded "
                f"before it is read: {error}"
            ) from error

    def backups(self) -> list[Path]:
        return backups.existing(self.path)

    def overdue(self, events: int) -> int | None:
        return backups.overdue(self.path, events=events)

    def restore(self, copy: Path | None = None) -> Restored:
        restored = restore.restore(self.path, copy)
        self.open(checks_all=True).close()
        return restored

    def network_filesystem(self) -> str | None:
        return filesystem.network_filesystem(self.path)

    def engine(self) -> tuple[str, str]:
        return "sqlite", f"{sqlite3.sqlite_version}, rollback journal"


def _mark_unfinished(store: Store) -> None:
    with cast("SqliteStore", store).database.write() as connection:
        connection.execute(
            "INSERT INTO meta SELECT ?, CAST(ifnull(max(event_id), 0) AS TEXT) FROM event",
            (_UNFINISHED,),
        )


def _forget_unfinished(path: Path) -> None:
    database = Database(path)
    try:
        with database.write() as connection:
            connection.execute("DELETE FROM meta WHERE key = ?", (_UNFINISHED,))
    finally:
        database.close()


def _check_place(database: Database, *, is_accepted: bool) -> None:
    """Refuse a network file system: SQLite's locks and syncs are not reliable there."""
    kind = filesystem.network_filesystem(database.path)
    if kind is None:
        return
    with database.read() as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (_NETWORK,)).fetchone()
    if row is not None and row[0] == "accepted":
        return
    if not is_accepted:
        raise UsageError(
            f"{database.path} is on a network file system ({kind}), where two annotators "
            "can damage each other's labels; move the workspace to a local disk, or "
            "give 'dgaal labels check --i-know' once if only one person on one host labels here"
        )
    with database.write() as connection:
        connection.execute(
            "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
            (_NETWORK, "accepted"),
        )


def _upgrade(database: Database, store: SqliteStore) -> None:
    store.back_up("upgrade")
    with database.write() as connection:
        # Another process may have upgraded the store while this one waited for the gate.
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        schema.migrate(connection, version=found)
        projection.refresh_shared(connection)
