"""A store in one SQLite file; its methods are documented in ``store.protocol``.

COMMIT runs with ``synchronous=FULL``. Each process opens its own connection, after a fork. Several
threads may use it, one at a time.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, Literal, NoReturn

from dgaal_cli.errors import DgaalError, UsageError
from dgaal_cli.ids import ItemId
from dgaal_cli.store.instants import Clock, to_iso, to_microseconds
from dgaal_cli.store.records import (
    Answer,
    ClassRecord,
    ImportedLabel,
    ImportReport,
    Lease,
    Provenance,
    Receipt,
    Task,
    Undone,
)
from dgaal_cli.store.sqlite import answers, backups, classes, imports, items, projection, queries
from dgaal_cli.store.sqlite.connection import Database
from dgaal_cli.store.sqlite.reader import P, Result, SqliteReader, reads


class _DryRunError(Exception):
    """Rolls back the transaction of a dry run."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


def _end_dry_run(report: ImportReport) -> NoReturn:
    raise _DryRunError(report)


def writes(
    operation: Callable[Concatenate[sqlite3.Connection, P], Result],
) -> Callable[Concatenate["SqliteStore", P], Result]:
    """Return a method that runs ``operation`` in a write transaction."""

    def method(store: "SqliteStore", *args: P.args, **kwargs: P.kwargs) -> Result:
        with store.database.write() as connection:
            return operation(connection, *args, **kwargs)

    return method


def writes_now(
    operation: Callable[Concatenate[sqlite3.Connection, int, P], Result],
) -> Callable[Concatenate["SqliteStore", P], Result]:
    """Like ``writes``; the second argument of ``operation`` is the time in microseconds."""

    def method(store: "SqliteStore", *args: P.args, **kwargs: P.kwargs) -> Result:
        with store.database.write() as connection:
            return operation(connection, store.now_us(), *args, **kwargs)

    return method


class SqliteStore(SqliteReader):
    """A ``Store`` in one SQLite file."""

    def __init__(self, database: Database, *, clock: Clock, lease_s: float) -> None:
        super().__init__(database, clock=clock)
        self._lease_s = lease_s
        self.backup_problem = ""

    # Classes

    add_class = writes_now(classes.add)
    rename_class = writes_now(classes.rename)
    reorder_classes = writes_now(classes.reorder)
    retire_class = writes_now(classes.retire)

    # Images

    add_items = writes(items.add)
    add_synthetic = writes(items.add_synthetic)
    mark_unreadable = writes(items.mark_unreadable)
    set_states = writes(items.set_states)

    # Queries

    save_query = writes_now(queries.save)
    extend_query = writes(queries.extend)
    close_query = writes_now(queries.close)

    def next_task(
        self, annotator: str, session: str, *, item_id: ItemId | None = None
    ) -> Task | None:
        operator = self._operator(annotator, session)
        with self.database.write() as connection:
            return queries.take(connection, operator, item_id=item_id)

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
        with self.database.write() as connection:
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
        with self.database.write() as connection:
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
        return self._reverse("undo", annotator, session, op_id)

    def redo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        return self._reverse("redo", annotator, session, op_id)

    def _reverse(
        self, says: Literal["undo", "redo"], annotator: str, session: str, op_id: str | None
    ) -> Undone | None:
        operator = self._operator(annotator, session)
        with self.database.write() as connection:
            done = answers.reverse(connection, operator, says=says, op_id=op_id)
        if done is not None:
            self._back_up_if_due(done.event_id - 1, done.event_id)
        return done

    undoable = reads(answers.undoable)

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
            with self.database.write() as connection:
                for record in new_classes:
                    classes.add(
                        connection,
                        self.now_us(),
                        record.name,
                        record.key,
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
        with self.database.write() as connection:
            made = imports.promote_synthetic(connection, chosen, number=round, now=self._clock())
        self._back_up_if_due(before, before + made)
        return made

    def record_artifact(self, sha256: bytes, role: str, format: str, round: int | None) -> None:
        with self.database.write() as connection:
            connection.execute(
                "INSERT INTO artifact VALUES (?, ?, ?, ?, ?) ON CONFLICT(sha256) DO NOTHING",
                (sha256, role, format, round, self.now_us()),
            )

    # Maintenance

    rebuild = writes(projection.rebuild)

    def back_up(self, reason: str = "manual") -> Path:
        stamp = to_iso(self.now_us()).replace(":", "").replace("-", "").replace(".", "-")
        made = backups.make(self.database, reason=reason, stamp=stamp)
        backups.prune(self.database.path)
        return made

    def _back_up_if_due(self, before: int, after: int) -> None:
        if after // backups.EVERY > before // backups.EVERY:
            self._back_up_quietly()

    def _back_up_quietly(self) -> None:
        # The answer is saved; a failed backup must not look like a lost answer.
        try:
            self.back_up("labels")
            self.backup_problem = ""
        except (DgaalError, OSError, sqlite3.Error) as error:
            self.backup_problem = str(error)

    def _operator(self, annotator: str, session: str) -> queries.Operator:
        if not annotator.strip():
            raise UsageError("an answer needs the name of its annotator; give --annotator NAME")
        return queries.Operator(
            annotator=annotator, session=session, now=self._clock(), lease_s=self._lease_s
        )

    def now_us(self) -> int:
        """Return the time of an event."""
        return to_microseconds(self._clock())
