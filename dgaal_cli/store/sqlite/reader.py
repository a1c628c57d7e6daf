"""Reading methods of an open store, documented in ``store.protocol``."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, Self, TypeVar

from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.classes import by_name
from dgaal_cli.store.instants import Clock
from dgaal_cli.store.records import (
    ClassRecord,
    EventRecord,
    ItemRecord,
    Query,
    Upcoming,
)
from dgaal_cli.store.sqlite import classes as class_rows
from dgaal_cli.store.sqlite import history, projection, queries
from dgaal_cli.store.sqlite import items as item_rows
from dgaal_cli.store.sqlite.connection import Database
from dgaal_cli.store.sqlite.history import EventFilter

_PAGE = 1000
P = ParamSpec("P")
Result = TypeVar("Result")


def reads(
    operation: Callable[Concatenate[sqlite3.Connection, P], Result],
) -> Callable[Concatenate["SqliteReader", P], Result]:
    """Return a method that runs ``operation`` in a read transaction."""

    def method(store: "SqliteReader", *args: P.args, **kwargs: P.kwargs) -> Result:
        with store.database.read() as connection:
            return operation(connection, *args, **kwargs)

    return method


class SqliteReader:
    """The reading methods of a ``Store``; ``SqliteStore`` adds the writing methods."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self.database = database
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    classes = reads(class_rows.active)
    class_names = reads(class_rows.names)

    def class_by_name(self, name: str) -> ClassRecord:
        return by_name(self.classes(), name)

    items = reads(item_rows.every)
    item = reads(item_rows.one)

    def item_by_sample(self, sample_id: SampleId) -> ItemRecord | None:
        with self.database.read() as connection:
            item_id = item_rows.id_of_sample(connection, sample_id)
            return None if item_id is None else item_rows.one(connection, item_id)

    replaced = reads(item_rows.replaced)
    quarantined = reads(item_rows.quarantined)
    open_round = reads(queries.open_round)

    def open_query(self) -> Query | None:
        with self.database.read() as connection:
            number = queries.open_round(connection)
            return None if number is None else queries.read(connection, number)

    def last_query(self) -> Query | None:
        with self.database.read() as connection:
            number = queries.last_round(connection)
            return None if number is None else queries.read(connection, number)

    query = reads(queries.read)
    query_progress = reads(queries.progress)

    def upcoming(self, annotator: str, count: int) -> list[Upcoming]:
        with self.database.read() as connection:
            return queries.upcoming(connection, annotator, count=count, now=self._clock())

    labels = reads(history.labels)
    cannot_tell = reads(history.cannot_tell)
    answers = reads(history.answers)
    flagged = reads(item_rows.flagged)
    watermark = reads(history.watermark)
    counts = reads(history.counts)

    def events(
        self,
        *,
        after: int = 0,
        item_id: ItemId | None = None,
        annotator: str | None = None,
        round: int | None = None,
        kind: str | None = None,
    ) -> Iterator[EventRecord]:
        while True:
            matching = EventFilter(
                after=after,
                item_id=item_id,
                annotator=annotator,
                round=round,
                kind=kind,
                limit=_PAGE,
            )
            with self.database.read() as connection:
                page = history.events(connection, matching)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].event_id

    def latest_events(self, count: int, *, annotator: str | None = None) -> list[EventRecord]:
        matching = EventFilter(limit=count, annotator=annotator, is_newest_first=True)
        with self.database.read() as connection:
            return history.events(connection, matching)

    def knows_artifact(self, sha256: bytes) -> bool:
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT 1 FROM artifact WHERE sha256 = ?", (sha256,)
            ).fetchone()
        return row is not None

    def check(self) -> list[str]:
        problems: list[str] = []
        with self.database.read() as connection:
            for (line,) in connection.execute("PRAGMA integrity_check(20)"):
                if line != "ok":
                    problems.append(show(str(line)))
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            if orphans:
                problems.append(f"{len(orphans)} rows refer to missing rows")
            wrong = projection.differences(connection)
            if wrong:
                problems.append(f"{wrong} rows of the current state do not match the events")
        return problems
