"""A store in one SQLite file; ``store.protocol`` documents the methods.

COMMIT runs with ``synchronous=FULL``. One connection per process, opened after a fork; several
threads may use it, one at a time.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from dgaal_cli.errors import DgaalError, UsageError
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.instants import Clock, to_iso, to_microseconds
from dgaal_cli.store.records import (
    AddedItems,
    Answer,
    ClassRecord,
    ImportedLabel,
    ImportReport,
    ItemState,
    Lease,
    NewItem,
    NewSynthetic,
    Provenance,
    Query,
    QueryEntry,
    Receipt,
    Task,
    Undone,
)
from dgaal_cli.store.sqlite import answers, backups, classes, imports, items, projection, queries
from dgaal_cli.store.sqlite.connection import Database
from dgaal_cli.store.sqlite.reader import SqliteReader


class _DryRunError(Exception):
    """Ends a transaction that was only asked what it would do."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


def _end_dry_run(report: ImportReport) -> NoReturn:
    raise _DryRunError(report)


class SqliteStore(SqliteReader):
    """A ``Store`` in one SQLite file."""

    def __init__(self, database: Database, *, clock: Clock, lease_s: float) -> None:
        super().__init__(database, clock=clock)
        self._lease_s = lease_s
        self.backup_problem = ""

    # Classes

    def add_class(self, name: str, key: str = "", *, uid: ClassUid | None = None) -> ClassRecord:
        with self._database.write() as connection:
            return classes.add(connection, name, key=key, now_us=self._now_us(), uid=uid)

    def rename_class(self, uid: ClassUid, name: str) -> ClassRecord:
        with self._database.write() as connection:
            return classes.rename(connection, uid, name, now_us=self._now_us())

    def reorder_classes(self, uids: Sequence[ClassUid]) -> list[ClassRecord]:
        with self._database.write() as connection:
            return classes.reorder(connection, uids, now_us=self._now_us())

    def retire_class(self, uid: ClassUid) -> None:
        with self._database.write() as connection:
            classes.retire(connection, uid, now_us=self._now_us())

    # Images

    def add_items(self, new: Iterable[NewItem]) -> AddedItems:
        with self._database.write() as connection:
            return items.add(connection, new)

    def add_synthetic(self, new: Iterable[NewSynthetic]) -> list[ItemId]:
        with self._database.write() as connection:
            return items.add_synthetic(connection, new)

    def mark_unreadable(self, files: Iterable[tuple[SampleId, str]]) -> None:
        with self._database.write() as connection:
            for sample_id, reason in files:
                items.mark_unreadable(connection, sample_id, reason)

    def set_states(self, states: Mapping[ItemId, ItemState]) -> None:
        with self._database.write() as connection:
            for item_id, state in states.items():
                items.set_state(connection, item_id, state)

    # Queries

    def save_query(self, query: Query, *, overlap: int = 1) -> None:
        with self._database.write() as connection:
            queries.save(connection, query, overlap=overlap, now_us=self._now_us())

    def extend_query(self, entries: Sequence[QueryEntry]) -> int:
        with self._database.write() as connection:
            return queries.extend(connection, entries)

    def close_query(self, round: int) -> int:
        with self._database.write() as connection:
            return queries.close(connection, round, now_us=self._now_us())

    def next_task(
        self, annotator: str, session: str, *, item_id: ItemId | None = None
    ) -> Task | None:
        operator = self._operator(annotator, session)
        with self._database.write() as connection:
            return queries.take(
                connection,
                annotator,
                session=session,
                expires=operator.expires,
                now=operator.now,
                item_id=item_id,
            )

    # Answers

    def submit(
        self,
        answer: Answer,
        *,
        annotator: str,
        session: str,
        lease: Lease | None = None,
        provenance: Provenance = "human",
        take_next: bool = True,
        next_item: ItemId | None = None,
    ) -> Receipt:
        with self._database.write() as connection:
            receipt = answers.submit(
                connection,
                answer,
                operator=self._operator(annotator, session),
                lease=lease,
                provenance=provenance,
                take_next=take_next,
                next_item=next_item,
            )
        self._back_up_if_due(receipt.event_id - 1, receipt.event_id)
        return receipt

    def submit_many(
        self,
        given: Sequence[Answer],
        *,
        annotator: str,
        session: str,
        provenance: Provenance = "human",
    ) -> list[Receipt]:
        before = self.watermark()
        with self._database.write() as connection:
            receipts = [
                answers.submit(
                    connection,
                    answer,
                    operator=self._operator(annotator, session),
                    lease=None,
                    provenance=provenance,
                    take_next=False,
                )
                for answer in given
            ]
        self._back_up_if_due(before, max((r.event_id for r in receipts), default=before))
        return receipts

    def undo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        with self._database.write() as connection:
            done = answers.undo(connection, self._operator(annotator, session), op_id=op_id)
        if done is not None:
            self._back_up_if_due(done.event_id - 1, done.event_id)
        return done

    def redo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        with self._database.write() as connection:
            done = answers.redo(connection, self._operator(annotator, session), op_id=op_id)
        if done is not None:
            self._back_up_if_due(done.event_id - 1, done.event_id)
        return done

    def undoable(self, annotator: str) -> list[int]:
        with self._database.read() as connection:
            return answers.undoable(connection, annotator)

    def import_labels(
        self,
        given: Sequence[ImportedLabel],
        *,
        new_classes: Sequence[ClassRecord] = (),
        session: str = "import",
        is_dry_run: bool = False,
    ) -> ImportReport:
        before = self.watermark()
        if not is_dry_run and before:
            self.back_up("import")
        try:
            with self._database.write() as connection:
                for record in new_classes:
                    classes.add(
                        connection,
                        record.name,
                        key=record.key,
                        now_us=self._now_us(),
                        uid=record.uid,
                    )
                now = self._clock()
                report = imports.import_labels(connection, given, session=session, now=now)
                if is_dry_run:
                    _end_dry_run(report)
        except _DryRunError as dry_run:
            return dry_run.report
        self._back_up_if_due(before, before + report.added + report.replaced)
        return report

    def promote_synthetic(self, chosen: Sequence[ItemId], round: int) -> int:
        before = self.watermark()
        with self._database.write() as connection:
            made = imports.promote_synthetic(connection, chosen, number=round, now=self._clock())
        self._back_up_if_due(before, before + made)
        return made

    def record_artifact(self, sha256: bytes, role: str, format: str, round: int | None) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO artifact VALUES (?, ?, ?, ?, ?) ON CONFLICT(sha256) DO NOTHING",
                (sha256, role, format, round, self._now_us()),
            )

    # Care

    def rebuild(self) -> int:
        with self._database.write() as connection:
            return projection.rebuild(connection)

    def back_up(self, reason: str = "manual") -> Path:
        stamp = to_iso(self._now_us()).replace(":", "").replace("-", "").replace(".", "-")
        made = backups.make(self._database, reason=reason, stamp=stamp)
        backups.prune(self._database.path)
        return made

    def _back_up_if_due(self, before: int, after: int) -> None:
        if after // backups.EVERY > before // backups.EVERY:
            self._back_up_quietly()

    def _back_up_quietly(self) -> None:
        # The answer is saved; a full disk or a busy store must not make it look lost.
        try:
            self.back_up("labels")
            self.backup_problem = ""
        except (DgaalError, OSError, sqlite3.Error) as error:
            self.backup_problem = str(error)

    def _operator(self, annotator: str, session: str) -> answers.Operator:
        if not annotator.strip():
            raise UsageError("an answer needs the name of its annotator; give --annotator NAME")
        return answers.Operator(
            annotator=annotator, session=session, now=self._clock(), lease_s=self._lease_s
        )

    def _now_us(self) -> int:
        return to_microseconds(self._clock())
