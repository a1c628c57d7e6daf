"""A store in one SQLite file; its methods are documented in ``store.protocol``.

COMMIT runs with ``synchronous=FULL``. Each process opens its own connection, after a fork. Several
threads may use it, one at a time.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

from dgaal_cli.errors import DgaalError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.classes import by_name
from dgaal_cli.store.instants import file_stamp
from dgaal_cli.store.protocol import Rescue
from dgaal_cli.store.records import (
    AnswerRecord,
    ClassRecord,
    DisputedItem,
    EventRecord,
    ImportedLabel,
    ImportReport,
    Label,
    Undone,
)
from dgaal_cli.store.sqlite import answers as answer_rows
from dgaal_cli.store.sqlite import (
    backups,
    history,
    imports,
    pool_changes,
    projection,
    queries,
    tallies,
)
from dgaal_cli.store.sqlite import classes as class_rows
from dgaal_cli.store.sqlite import counts as item_counts
from dgaal_cli.store.sqlite import groups as group_rows
from dgaal_cli.store.sqlite import items as item_rows
from dgaal_cli.store.sqlite.acknowledged import Acknowledged
from dgaal_cli.store.sqlite.connection import Connection, Database

_PAGE = 1000
_P = ParamSpec("_P")
_T = TypeVar("_T")
_Operation = Callable[Concatenate[Connection, _P], _T]
_Method = Callable[Concatenate["SqliteStore", _P], _T]


def _reads(operation: _Operation[_P, _T]) -> _Method[_P, _T]:
    """Return a method that runs ``operation`` in a read transaction."""

    def method(store: "SqliteStore", *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with store.database.read() as connection:
            return operation(connection, *args, **kwargs)

    return method


def _writes(operation: _Operation[_P, _T]) -> _Method[_P, _T]:
    """Return a method that runs ``operation`` in a write transaction."""

    def method(store: "SqliteStore", *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with store.database.write() as connection:
            return operation(connection, *args, **kwargs)

    return method


def _appends(
    operation: _Operation[_P, _T], *, events_of: Callable[[_T], Iterable[int]] = lambda _: ()
) -> _Method[_P, _T]:
    """Like ``_writes``; makes a backup after every ``backups.EVERY`` events.

    ``events_of`` returns the events of a result that the store must remember as acknowledged.
    """

    def method(store: "SqliteStore", *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with store.database.write() as connection:
            before = history.watermark(connection)
            result = operation(connection, *args, **kwargs)
            after = history.watermark(connection)
            stored = [history.outcome(connection, event) for event in events_of(result)]
        store.acknowledged.add(stored)
        if after // backups.EVERY > before // backups.EVERY:
            store.back_up_quietly()
        return result

    return method


def _event_of(undone: Undone | None) -> list[int]:
    return [undone.event_id] if undone else []


class SqliteStore:
    """A ``Store`` in one SQLite file."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.backup_problem = ""
        self.acknowledged = Acknowledged(database.path)
        database.on_change = self.acknowledged.explain

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    # Classes

    classes = _reads(class_rows.active)
    class_names = _reads(class_rows.names)
    add_class = _writes(class_rows.add)
    add_classes = _writes(class_rows.add_many)
    rename_class = _writes(class_rows.rename)
    reorder_classes = _writes(class_rows.reorder)
    retire_class = _writes(class_rows.retire)
    reinstate_class = _writes(class_rows.reinstate)

    def class_by_name(self, name: str) -> ClassRecord:
        return by_name(self.classes(), name)

    # Images

    items = _reads(item_rows.every)
    unanswered = _reads(item_rows.unanswered)
    sizes = _reads(item_rows.sizes)
    usable = _reads(item_rows.usable)
    item = _reads(item_rows.one)
    item_by_sample = _reads(item_rows.of_sample)
    items_by_sample = _reads(item_rows.of_samples)
    paths = _reads(item_rows.paths)
    replaced = _reads(item_rows.replaced)
    quarantined = _reads(item_rows.quarantined)
    pool_files = _reads(pool_changes.files)
    groups = _reads(group_rows.every)
    change_pool = _writes(pool_changes.apply)
    add_items = _writes(item_rows.add)
    add_synthetic = _writes(item_rows.add_synthetic)
    mark_unreadable = _writes(item_rows.mark_unreadable)
    set_states = _writes(item_rows.set_states)

    # Queries

    open_round = _reads(queries.open_round)
    open_query = _reads(queries.open_query)
    last_query = _reads(queries.last_query)
    query = _reads(queries.read)
    entries_by_reason = _reads(queries.by_reason)
    query_progress = _reads(queries.progress)
    upcoming = _reads(queries.upcoming)
    save_query = _writes(queries.save)
    extend_query = _writes(queries.extend)
    close_query = _writes(queries.close)
    next_task = _writes(queries.next_task)

    # Answers

    labels = _reads(history.labels)
    verdicts = _reads(history.verdicts)
    cannot_tell = _reads(history.cannot_tell)
    tally = _reads(tallies.tally)
    disputed_ids = _reads(tallies.disputed_ids)
    flagged = _reads(item_rows.flagged)
    watermark = _reads(history.watermark)
    counts = _reads(item_counts.counts)
    latest_events = _reads(history.latest)
    submit = _appends(answer_rows.submit, events_of=lambda receipt: [receipt.event_id])
    submit_many = _appends(
        answer_rows.submit_many, events_of=lambda receipts: [r.event_id for r in receipts]
    )
    undo = _appends(partial(answer_rows.reverse, "undo"), events_of=_event_of)
    redo = _appends(partial(answer_rows.reverse, "redo"), events_of=_event_of)
    undoable = _reads(answer_rows.undoable)
    promote_synthetic = _appends(imports.promote_synthetic)
    events_by_op_id = _reads(history.by_op_id)
    _page = _reads(history.page)
    _disputed = _reads(tallies.disputed)
    _current_events = _reads(history.current_events)
    _effective_events = _reads(history.effective_events)
    _withdrawn_events = _reads(history.withdrawn_events)
    _answers = _reads(history.answers)
    _distinct_labels = _reads(history.distinct_labels)
    _import = _appends(imports.import_labels)

    def events(
        self,
        *,
        after: int = 0,
        item_id: ItemId | None = None,
        annotator: str | None = None,
        round: int | None = None,
        kind: str | None = None,
    ) -> Iterator[EventRecord]:
        while page := self._page(
            _PAGE, after=after, item_id=item_id, annotator=annotator, round=round, kind=kind
        ):
            yield from page
            after = page[-1].event_id

    def iter_answers(self) -> Iterator[AnswerRecord]:
        yield from self._answers_of(self._current_events())

    def effective_answers(self) -> Iterator[AnswerRecord]:
        yield from self._answers_of(self._effective_events())

    def withdrawn(self) -> Iterator[AnswerRecord]:
        yield from self._answers_of(self._withdrawn_events())

    def _answers_of(self, events: Sequence[tuple[int, int]]) -> Iterator[AnswerRecord]:
        """Yield the answers of some events, page by page; later answers change nothing here."""
        for start in range(0, len(events), _PAGE):
            yield from self._answers(events[start : start + _PAGE])

    def distinct_labels(self, *, include_synthetic: bool) -> Iterator[tuple[Label, SampleId]]:
        after = 0
        while page := self._distinct_labels(after, _PAGE, include_synthetic=include_synthetic):
            yield from ((label, sample_id) for _, label, sample_id in page)
            after = page[-1][0]

    def disputed(self, to_text: Callable[[Label], str]) -> Iterator[DisputedItem]:
        after = 0
        while page := self._disputed(after, _PAGE, to_text):
            yield from page
            after = page[-1].item_id

    def answers(self) -> list[AnswerRecord]:
        return list(self.iter_answers())

    def import_labels(
        self,
        given: Iterable[ImportedLabel],
        *,
        new_classes: Sequence[ClassRecord] = (),
        session: str = "import",
        is_dry_run: bool = False,
    ) -> ImportReport:
        if not is_dry_run and self.watermark():
            self.back_up("import")
        try:
            return self._import(given, new_classes, session=session, is_dry_run=is_dry_run)
        except imports.DryRunError as dry_run:
            return dry_run.report

    # Maintenance

    def check_unchanged(self) -> None:
        self.database.check_unchanged()

    def on_change(self, rescue: Rescue) -> None:
        self.acknowledged.rescue = rescue

    rebuild = _writes(projection.rebuild)

    def record_artifact(self, sha256: bytes, role: str, format: str, round: int | None) -> None:
        with self.database.write() as connection:
            connection.execute(
                "INSERT INTO artifact VALUES (?, ?, ?, ?, ?) ON CONFLICT(sha256) DO NOTHING",
                (sha256, role, format, round, connection.now_us()),
            )

    def knows_artifact(self, sha256: bytes) -> bool:
        with self.database.read() as connection:
            row = connection.execute("SELECT 1 FROM artifact WHERE sha256 = ?", (sha256,))
            return row.fetchone() is not None

    def check(self) -> list[str]:
        with self.database.read() as connection:
            lines = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(20)")]
            problems = [show(line) for line in lines if line != "ok"]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            if orphans:
                problems.append(f"{len(orphans)} rows refer to missing rows")
            wrong = projection.differences(connection)
            if wrong:
                problems.append(f"{wrong} rows of the current state do not match the events")
        return problems

    def back_up(self, reason: str = "manual", *, is_full: bool = False) -> Path:
        stamp = file_stamp(self.database.connection.now_us()).replace(".", "-")
        is_asked = reason == "manual"  # answers must not wait for a check of the whole store
        made = backups.make(
            self.database, reason=reason, stamp=stamp, is_full=is_full, checks_all=is_asked
        )
        backups.prune(self.database.path, made=made)
        return made

    def back_up_quietly(self) -> None:
        """Make a backup; the answer is saved, so a failure must not look like a lost answer."""
        try:
            self.back_up("labels")
            self.backup_problem = ""
        except (DgaalError, OSError, sqlite3.Error) as error:
            self.backup_problem = str(error)
