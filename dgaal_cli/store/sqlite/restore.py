"""Replace a store by a backup; the old store is renamed, never deleted."""

import contextlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Generator
from pathlib import Path

from dgaal_cli.atomic import replacing, sync_folder
from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.scratch import scratch
from dgaal_cli.store.instants import file_stamp, system_clock, to_microseconds
from dgaal_cli.store.records import Restored
from dgaal_cli.store.sqlite import backups, chains
from dgaal_cli.store.sqlite.chains import Point
from dgaal_cli.workspace import Workspace


def restore(store: Path, copy: Path | None) -> Restored:
    """Restore a backup; None uses the newest intact one."""
    # This workspace lock and the store's gate are the same file.
    with (
        Workspace(store.parent).lock(store.name, doing="restoring the labels"),
        _scratch(store) as inside,
    ):
        composed = inside / store.name
        chosen, events = _compose(store, copy, composed)
        missing = _missing(store, chosen, events)
        _finish_journal(store)
        stamp = file_stamp(to_microseconds(system_clock()))
        aside = store.with_name(f"{store.name}.before-restore-{stamp}")
        linked: list[tuple[Path, Path]] = []
        try:
            # If killed at any time, the old or the new store has the store's name.
            with replacing(store) as stream, composed.open("rb") as source:
                shutil.copyfileobj(source, stream)
                _set_aside(store, aside, linked)
        except BaseException:
            if not store.exists() or (aside.exists() and store.samefile(aside)):
                _take_back(linked)
            raise
    return Restored(
        backup=chosen.path,
        set_aside=aside if aside.exists() else None,
        events=events,
        missing=missing,
    )


@contextlib.contextmanager
def _scratch(store: Path) -> Generator[Path]:
    try:
        with scratch(store.parent, is_folder=True) as inside:
            yield inside
    except OSError as error:
        raise StorageError(
            f"cannot restore a backup to {store}: {error.strerror or error}; it was not changed"
        ) from error


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


def _compose(store: Path, copy: Path | None, target: Path) -> tuple[Point, int]:
    """Write a backup's store to ``target``; return the backup and its number of events."""
    if copy is not None:
        chosen = backups.find(copy)
        return chosen, chains.compose(chosen, target)
    for point in chains.points(backups.folder_of(store)):
        with contextlib.suppress(WorkspaceError):
            return point, chains.compose(point, target)
    raise WorkspaceError(
        f"there is no intact backup in {backups.folder_of(store)}; "
        "import an export with 'dgaal labels import' into a new workspace"
    )


def _missing(store: Path, chosen: Point, events: int) -> int | None:
    """Return how many events newer backups have in addition; None if it cannot be read."""
    folder = backups.folder_of(store)
    if chosen.path.parent.resolve() != folder.resolve():
        return 0
    points = chains.points(folder)
    newer = list(itertools.takewhile(lambda point: point.path.name != chosen.path.name, points))
    if not newer:
        return 0
    return None if newer[0].events < 0 else max(0, newer[0].events - events)
