"""What reads an open store; ``store.protocol`` documents the methods."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.classes import by_name
from dgaal_cli.store.instants import Clock
from dgaal_cli.store.records import (
    AnswerRecord,
    ClassRecord,
    Counts,
    EventRecord,
    ItemRecord,
    ItemState,
    LabelRecord,
    Query,
    QueryProgress,
    Upcoming,
)
from dgaal_cli.store.sqlite import classes, history, items, projection, queries
from dgaal_cli.store.sqlite.connection import Database
from dgaal_cli.store.sqlite.history import EventFilter

_PAGE = 1000


class SqliteReader:
    """The reading half of a ``Store``; ``SqliteStore`` adds the rest."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def meta(self) -> dict[str, str]:
        with self._database.read() as connection:
            return dict(connection.execute("SELECT key, value FROM meta").fetchall())

    def classes(self) -> list[ClassRecord]:
        with self._database.read() as connection:
            return classes.active(connection)

    def class_by_name(self, name: str) -> ClassRecord:
        return by_name(self.classes(), name)

    def class_name(self, uid: ClassUid) -> str:
        names = self.class_names()
        if uid not in names:
            raise UsageError(f"there is no class with the uid {uid}")
        return names[uid]

    def class_names(self) -> dict[ClassUid, str]:
        with self._database.read() as connection:
            rows = connection.execute("SELECT class_uid, name FROM class")
            return {ClassUid(uid): name for uid, name in rows}

    def items(self) -> list[ItemRecord]:
        with self._database.read() as connection:
            return list(items.every(connection))

    def item(self, item_id: ItemId) -> ItemRecord:
        with self._database.read() as connection:
            return items.one(connection, item_id)

    def item_by_sample(self, sample_id: SampleId) -> ItemRecord | None:
        with self._database.read() as connection:
            item_id = items.id_of_sample(connection, sample_id)
            return None if item_id is None else items.one(connection, item_id)

    def replaced(self) -> list[tuple[SampleId, ItemState]]:
        with self._database.read() as connection:
            return items.replaced(connection)

    def quarantined(self) -> list[tuple[SampleId, str]]:
        with self._database.read() as connection:
            return items.quarantined(connection)

    def open_round(self) -> int | None:
        with self._database.read() as connection:
            return queries.open_round(connection)

    def open_query(self) -> Query | None:
        with self._database.read() as connection:
            number = queries.open_round(connection)
            return None if number is None else queries.read(connection, number)

    def last_query(self) -> Query | None:
        with self._database.read() as connection:
            number = queries.last_round(connection)
            return None if number is None else queries.read(connection, number)

    def query(self, number: int) -> Query:
        with self._database.read() as connection:
            return queries.read(connection, number)

    def query_progress(self, round: int) -> QueryProgress:
        with self._database.read() as connection:
            return queries.progress(connection, round)

    def upcoming(self, annotator: str, count: int) -> list[Upcoming]:
        with self._database.read() as connection:
            return queries.upcoming(connection, annotator, count=count, now=self._clock())

    def labels(self, *, watermark: int | None = None) -> list[LabelRecord]:
        with self._database.read() as connection:
            return history.labels(connection, until=watermark)

    def cannot_tell(self, *, watermark: int | None = None) -> set[ItemId]:
        with self._database.read() as connection:
            return history.cannot_tell(connection, until=watermark)

    def answers(self) -> list[AnswerRecord]:
        with self._database.read() as connection:
            return history.answers(connection)

    def flagged(self) -> list[ItemRecord]:
        with self._database.read() as connection:
            rows = connection.execute("SELECT DISTINCT item_id FROM flagged ORDER BY item_id")
            return [items.one(connection, ItemId(item_id)) for (item_id,) in rows.fetchall()]

    def watermark(self) -> int:
        with self._database.read() as connection:
            return history.watermark(connection)

    def counts(self) -> Counts:
        with self._database.read() as connection:
            return history.counts(connection)

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
            wanted = EventFilter(
                after=after,
                item_id=item_id,
                annotator=annotator,
                round=round,
                kind=kind,
                limit=_PAGE,
            )
            with self._database.read() as connection:
                page = list(history.events(connection, wanted))
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].event_id

    def latest_events(self, count: int, *, annotator: str | None = None) -> list[EventRecord]:
        wanted = EventFilter(limit=count, annotator=annotator, is_newest_first=True)
        with self._database.read() as connection:
            return list(history.events(connection, wanted))

    def knows_artifact(self, sha256: bytes) -> bool:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT 1 FROM artifact WHERE sha256 = ?", (sha256,)
            ).fetchone()
        return row is not None

    def check(self) -> list[str]:
        problems: list[str] = []
        with self._database.read() as connection:
            for (line,) in connection.execute("PRAGMA integrity_check(20)"):
                if line != "ok":
                    problems.append(show(str(line)))
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            if orphans:
                problems.append(f"{len(orphans)} rows refer to nothing")
            wrong = projection.differences(connection)
            if wrong:
                problems.append(f"{wrong} rows of the present state do not follow from the events")
        return problems
