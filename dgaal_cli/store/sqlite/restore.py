"""Replace a store by a backup; the old store is renamed, never deleted."""

import contextlib
import os
import sqlite3
from pathlib import Path

from dgaal_cli.atomic import replacing, sync_folder
from dgaal_cli.errors import WorkspaceError
from dgaal_cli.store.instants import system_clock, to_iso, to_microseconds
from dgaal_cli.store.records import Restored
from dgaal_cli.store.sqlite import backups
from dgaal_cli.workspace import Workspace


def restore(store: Path, copy: Path | None) -> Restored:
    """Restore a backup; None uses the newest intact one."""
    # This workspace lock and the store's gate are the same file.
    with Workspace(store.parent).lock(store.name, doing="restoring the labels"):
        chosen, events = _choose(store, copy)
        _finish_journal(store)
        stamp = to_iso(to_microseconds(system_clock())).replace(":", "").replace("-", "")
        aside = store.with_name(f"{store.name}.before-restore-{stamp}")
        linked: list[tuple[Path, Path]] = []
        try:
            # If killed at any time, the old or the new store has the store's name.
            with replacing(store) as stream:
                stream.write(chosen.read_bytes())
                _set_aside(store, aside, linked)
        except BaseException:
            if not store.exists() or (aside.exists() and store.samefile(aside)):
                _take_back(linked)
            raise
    return Restored(backup=chosen, set_aside=aside if aside.exists() else None, events=events)


def _finish_journal(store: Path) -> None:
    """Apply the journal of a killed writer, so that the store is complete without it."""
    if any(path.exists() and path.stat().st_size for path in _journals(store)):
        with contextlib.suppress(sqlite3.Error):  # damaged: the journal is kept with the store
            connection = sqlite3.connect(f"{store.absolute().as_uri()}?mode=rw", uri=True)
            with contextlib.closing(connection):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _set_aside(store: Path, aside: Path, linked: list[tuple[Path, Path]]) -> None:
    """Link a store and its journals to new names, listed in ``linked``; remove the journals.

    SQLite would otherwise apply an old journal to the restored file.
    """
    for old in (store, *_journals(store)):
        if old.exists():
            new = aside.with_name(old.name.replace(store.name, aside.name, 1))
            os.link(old, new)
            linked.append((old, new))
    sync_folder(store.parent)
    for journal in _journals(store):
        journal.unlink(missing_ok=True)


def _take_back(linked: list[tuple[Path, Path]]) -> None:
    for old, new in linked:
        with contextlib.suppress(OSError):
            os.replace(new, old)  # noqa: PTH105 - does nothing if both are the same file
            new.unlink(missing_ok=True)


def _journals(store: Path) -> list[Path]:
    return [store.with_name(store.name + suffix) for suffix in ("-journal", "-wal", "-shm")]


def _choose(store: Path, copy: Path | None) -> tuple[Path, int]:
    if copy is not None:
        return copy, backups.verify(copy)
    for candidate in backups.existing(store):
        with contextlib.suppress(WorkspaceError, sqlite3.Error):
            return candidate, backups.verify(candidate)
    raise WorkspaceError(
        f"there is no intact backup in {backups.folder_of(store)}; "
        "import an export with 'dgaal labels import' into a new workspace"
    )
