"""Faulty variants of dgaal, which the simulation must catch; each changes what is public."""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dgaal_cli import atomic, scratch
from dgaal_cli.api import labels
from dgaal_cli.store.exchange.json_lines import JsonLines
from dgaal_cli.store.sqlite import chains
from dgaal_cli.store.sqlite.connection import Database
from dgaal_cli.store.sqlite.location import SqliteLocation
from dgaal_cli.store.sqlite.store import SqliteStore
from dgaal_cli.workspace import Workspace


def acknowledge_early() -> None:
    """Commit an answer only with the next one."""

    @contextlib.contextmanager
    def write(self: Database) -> Generator[Any]:
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")
        self.connection.execute("BEGIN IMMEDIATE")
        yield self.connection

    def close(self: Database) -> None:
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")
        self.connection.close()

    Database.write, Database.close = write, close


def import_always_wins() -> None:
    """Take each imported answer for one that is given now."""
    sound = JsonLines.read

    def read(self: JsonLines, path: Path) -> Any:
        return (replace(line, op_id=None, changed=None) for line in sound(self, path))

    JsonLines.read = read


def undo_removes() -> None:
    """Delete the event that is undone instead of appending one."""
    sound = SqliteStore.undo

    def undo(self: SqliteStore, *args: Any, **options: Any) -> Any:
        undone = sound(self, *args, **options)
        with self.database.write() as connection:
            named = "SELECT sql FROM sqlite_schema WHERE name = 'event_no_delete'"
            trigger = connection.execute(named).fetchone()[0]
            connection.execute("DROP TRIGGER event_no_delete")
            if undone is not None:
                newest = connection.execute("SELECT max(event_id), refers_to FROM event")
                for number in newest.fetchone():
                    connection.execute("DELETE FROM event WHERE event_id = ?", (number,))
            connection.execute(trigger)
        return undone

    SqliteStore.undo = undo


def order_backups_by_clock() -> None:
    """Take the backup with the latest time in its name for the newest."""
    sound = chains.points

    def points(folder: Path) -> Any:
        found = sound(folder)
        return sorted(found, key=lambda point: point.path.name.split("-", 2)[-1], reverse=True)

    chains.points = points


def restore_oldest() -> None:
    """Restore the oldest backup."""
    sound = SqliteLocation.restore

    def restore(self: SqliteLocation, copy: Path | None = None) -> Any:
        return sound(self, copy or next(reversed(self.backups()), None))

    SqliteLocation.restore = restore


def rename_adds() -> None:
    """Rename a class by adding another one in its place."""

    def rename(self: SqliteStore, uid: str, name: str) -> Any:
        made = self.add_class(name)
        with self.database.write() as connection:
            connection.execute("UPDATE class SET retired_us = 1 WHERE class_uid = ?", (uid,))
        return made

    SqliteStore.rename_class = rename


def export_drops() -> None:
    """Leave "can't tell" out of the lossless export."""
    sound = JsonLines.write

    def write(self: JsonLines, stream: Any, job: Any) -> int:
        kept = (answer for answer in job.answers if answer.kind != "cannot_tell")
        return sound(self, stream, replace(job, answers=kept))

    JsonLines.write = write


def no_locks() -> None:
    """Take no lock of the workspace."""
    Workspace.lock = lambda *_, **__: contextlib.nullcontext()


def claim_unchecked() -> None:
    """Write in place, and still say that the previous file is unchanged."""
    sound = atomic.StorageError

    @contextlib.contextmanager
    def replacing(path: Path) -> Generator[Any]:
        try:
            with path.open("wb", buffering=0) as stream:
                yield stream
        except OSError as error:
            raise sound(
                f"cannot write {path}: {error}; the previous file, if any, is unchanged"
            ) from error

    atomic.replacing = labels.replacing = replacing


def keep_litter() -> None:
    """Never remove the temporary files of killed commands."""
    from dgaal_cli.api import doctor

    scratch.sweep = doctor.sweep = lambda _: 0


VARIANTS: dict[str, Callable[[], None]] = {
    "sound": lambda: None,
    "early": acknowledge_early,
    "import-wins": import_always_wins,
    "undo-removes": undo_removes,
    "clock-orders": order_backups_by_clock,
    "oldest": restore_oldest,
    "rename-adds": rename_adds,
    "export-drops": export_drops,
    "no-locks": no_locks,
    "claims": claim_unchecked,
    "litter": keep_litter,
}
"""Faults by name."""
