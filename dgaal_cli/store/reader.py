"""The questions one may ask an open label store."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store import classes, history, items, projection, queries
from dgaal_cli.store.connection import Database
from dgaal_cli.store.history import EventFilter
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

_PAGE = 1000


class StoreReader:
    """Everything that changes nothing; ``LabelStore`` adds the rest."""

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
        """Close the file; what was acknowledged is on the disk already."""
        self._database.close()

    def meta(self) -> dict[str, str]:
        """Return what is known of the workspace: ``workspace_id`` and whatever was noted."""
        with self._database.read() as connection:
            return dict(connection.execute("SELECT key, value FROM meta").fetchall())

    def classes(self) -> list[ClassRecord]:
        """Return the classes in use, by position."""
        with self._database.read() as connection:
            return classes.active(connection)

    def class_by_name(self, name: str) -> ClassRecord:
        """Find a class by its exact name.

        Raises:
            UsageError: There is none; the message names the nearest and the known ones.
        """
        return classes.by_name(self.classes(), name)

    def class_name(self, uid: ClassUid) -> str:
        """Return the present name of a class, also of one no longer in use."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT name FROM class WHERE class_uid = ?", (uid,)
            ).fetchone()
        if row is None:
            raise UsageError(f"there is no class with the uid {show(uid)}")
        return str(row[0])

    def items(self) -> list[ItemRecord]:
        """Return all items, first seen first: pool and synthetic, whatever their state."""
        with self._database.read() as connection:
            return list(items.every(connection))

    def item(self, item_id: ItemId) -> ItemRecord:
        """Return one item; ``UsageError`` if there is none."""
        with self._database.read() as connection:
            return items.one(connection, item_id)

    def item_by_sample(self, sample_id: SampleId) -> ItemRecord | None:
        """Return the item seen at a path, whether or not it is the primary path."""
        with self._database.read() as connection:
            item_id = items.id_of_sample(connection, sample_id)
            return None if item_id is None else items.one(connection, item_id)

    def paths(self, item_id: ItemId) -> list[SampleId]:
        """Return every path of an item's content, first seen first."""
        with self._database.read() as connection:
            return items.paths(connection, item_id)

    def replaced(self) -> list[tuple[SampleId, ItemState]]:
        """Return images whose file is gone or holds other bytes by now, by name."""
        with self._database.read() as connection:
            return items.replaced(connection)

    def quarantined(self) -> list[tuple[SampleId, str]]:
        """Return unreadable files and why, by name."""
        with self._database.read() as connection:
            return items.quarantined(connection)

    def open_round(self) -> int | None:
        """Return the round whose query waits for answers."""
        with self._database.read() as connection:
            return queries.open_round(connection)

    def open_query(self) -> Query | None:
        """Return the query that waits for answers."""
        with self._database.read() as connection:
            number = queries.open_round(connection)
            return None if number is None else queries.read(connection, number)

    def last_query(self) -> Query | None:
        """Return the newest query, open or closed."""
        with self._database.read() as connection:
            number = queries.last_round(connection)
            return None if number is None else queries.read(connection, number)

    def query(self, number: int) -> Query:
        """Return the query of a round; ``UsageError`` if it had none."""
        with self._database.read() as connection:
            return queries.read(connection, number)

    def query_progress(self, round: int) -> QueryProgress:  # noqa: A002
        """Count what became of a query's items."""
        with self._database.read() as connection:
            return queries.progress(connection, round)

    def upcoming(self, annotator: str, count: int) -> list[Upcoming]:
        """Return what the annotator will be asked next, in order, for decoding ahead."""
        with self._database.read() as connection:
            return queries.upcoming(connection, annotator, count=count, now=self._clock())

    def labels(self, *, watermark: int | None = None) -> list[LabelRecord]:
        """Return the effective label of each labeled item, by item number.

        Adjudicated before majority before earliest; inherited only where no one answered.

        Args:
            watermark: Only events up to this number; None for now.
        """
        with self._database.read() as connection:
            return history.labels(connection, until=watermark)

    def cannot_tell(self, *, watermark: int | None = None) -> set[ItemId]:
        """Return the items that ended without a class."""
        with self._database.read() as connection:
            return history.cannot_tell(connection, until=watermark)

    def answers(self) -> list[AnswerRecord]:
        """Return each annotator's present answer to each item, oldest first."""
        with self._database.read() as connection:
            return history.answers(connection)

    def flagged(self) -> list[ItemRecord]:
        """Return the items that somebody asked a second look at, by number."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT DISTINCT item_id FROM flagged ORDER BY item_id")
            return [items.one(connection, ItemId(item_id)) for (item_id,) in rows.fetchall()]

    def watermark(self) -> int:
        """Number of the newest event; what a training run notes and reads up to."""
        with self._database.read() as connection:
            return history.watermark(connection)

    def counts(self) -> Counts:
        """Count items, labels and answers."""
        with self._database.read() as connection:
            return history.counts(connection)

    def events(
        self,
        *,
        after: int = 0,
        item_id: ItemId | None = None,
        annotator: str | None = None,
        round: int | None = None,  # noqa: A002
        kind: str | None = None,
    ) -> Iterator[EventRecord]:
        """Yield the history, oldest first, in short reads so that writers are not kept waiting."""
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
        """Return the newest events, newest first."""
        wanted = EventFilter(limit=count, annotator=annotator, is_newest_first=True)
        with self._database.read() as connection:
            return list(history.events(connection, wanted))

    def knows_artifact(self, sha256: bytes) -> bool:
        """Tell whether this workspace exported the file with that digest."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT 1 FROM artifact WHERE sha256 = ?", (sha256,)
            ).fetchone()
        return row is not None

    def check(self) -> list[str]:
        """Examine the whole store; return what is wrong in plain words, nothing if it is sound."""
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
