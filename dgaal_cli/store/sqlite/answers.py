"""Answers of an oracle, appended as events; undo and redo append further events."""

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any, Literal, cast

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId
from dgaal_cli.store.instants import to_microseconds
from dgaal_cli.store.records import (
    Answer,
    AnswerKind,
    Lease,
    Provenance,
    Receipt,
    Shown,
    Task,
    Undone,
)
from dgaal_cli.store.sqlite import classes, event_rows, items, label_rows, projection, queries
from dgaal_cli.store.sqlite.connection import Connection
from dgaal_cli.store.sqlite.queries import Operator, identify, take
from dgaal_cli.version import __version__

_UNDOABLE = "('label','cannot_tell','skip','flag','unflag','adjudicate')"


@dataclass(slots=True, kw_only=True)  # not frozen: an import makes a million of them
class NewEvent:
    """Arguments of ``append`` in addition to the operator, named as the columns."""

    op_id: str
    kind: str
    says: str
    item_id: ItemId
    provenance: Provenance
    round: int | None
    counted: bool = True
    label_id: int | None = None
    note: str = ""
    refers_to: int | None = None
    cancels: int | None = None
    shown_id: str | None = None
    lease_fence: int | None = None
    elapsed_ms: int | None = None
    at_us: int | None = None
    """None: now, or just after the annotator's newest event if the clock went back."""
    made_us: int | None = None
    body_sha: bytes = b""


_GIVEN = [field.name for field in fields(NewEvent) if field.name != "at_us"]
_VALUES = attrgetter(*_GIVEN)
_COLUMNS = (*_GIVEN, "at_us", "annotator", "session", "app")
_SHA256 = "(SELECT sha256 FROM item i WHERE i.item_id = {item_id})"
_NEWER_IMPORT = f"""SELECT 1 FROM event e JOIN event i USING(item_id, annotator)
    WHERE e.event_id = ? AND i.event_id > e.event_id AND i.kind = 'import' AND i.counted
    AND {event_rows.is_of_flag("i")} = {event_rows.is_of_flag("e")}"""  # noqa: S608 - constants


def submit(
    connection: Connection,
    answer: Answer,
    *,
    annotator: str,
    session: str,
    lease: Lease | None = None,
    provenance: Provenance = "human",
    take_next: bool = True,
    next_item: ItemId | None = None,
) -> Receipt:
    """Store one answer and lease the next item, in the caller's transaction."""
    operator = identify(connection, annotator, session)
    body = _digest(answer, operator.annotator, provenance)
    stored = connection.execute(
        "SELECT event_id, counted, body_sha FROM event WHERE op_id = ?", (answer.op_id,)
    ).fetchone()
    if stored is not None and bytes(stored[2]) != body:
        raise UsageError(
            f"operation {answer.op_id} is stored already with another answer; "
            "each key press needs its own id"
        )
    if stored is None:
        event_id, counted = _store(
            connection, answer, operator=operator, lease=lease, provenance=provenance, body=body
        )
    else:  # a retry after a lost receipt
        event_id, counted = int(stored[0]), bool(stored[1])
    task: Task | None = None
    if take_next:
        following = answer.item_id if answer.kind in ("flag", "unflag") else next_item
        task = take(connection, operator, item_id=following) or take(connection, operator)
    return Receipt(event_id=event_id, is_counted=counted, next_task=task)


def submit_many(
    connection: Connection,
    given: Sequence[Answer],
    *,
    annotator: str,
    session: str,
    provenance: Provenance = "human",
) -> list[Receipt]:
    """Store several answers and lease nothing."""
    stored = partial(submit, annotator=annotator, session=session, provenance=provenance)
    return [stored(connection, answer, take_next=False) for answer in given]


def reverse(
    says: Literal["undo", "redo"],
    connection: Connection,
    annotator: str,
    session: str,
    *,
    op_id: str | None = None,
) -> Undone | None:
    """Undo the annotator's last action of this round, or redo the last undone one.

    Nothing can be redone after a new answer. Returns None if nothing is left.
    """
    operator = identify(connection, annotator, session)
    stored = connection.execute(
        "SELECT event_id, counted, kind, refers_to FROM event WHERE op_id = ?", (op_id,)
    ).fetchone()
    if stored is not None and stored[2] != says:
        raise UsageError(f"operation {op_id or ''} is stored already as another action")
    if stored is not None:  # a retry after a lost result
        root = int(stored[3])
        event_id, counted = int(stored[0]), bool(stored[1])
    else:
        newest = next(_newest(connection, operator.annotator, says), None)
        if newest is None:
            return None
        root, tip = newest
        event_id, counted = _append_reversal(
            connection, operator, says=says, root=root, tip=tip, op_id=op_id
        )
    item_id, kind, *label = connection.execute(
        f"SELECT e.item_id, e.kind, {label_rows.COLUMNS} FROM event e "  # noqa: S608 - constants
        "LEFT JOIN label l USING(label_id) WHERE e.event_id = ?",
        (root,),
    ).fetchone()
    stays = says == "undo" or kind in ("flag", "unflag")
    task = take(connection, operator, item_id=ItemId(item_id)) if stays else None
    return Undone(
        item=items.one(connection, ItemId(item_id)),
        kind=cast("AnswerKind", kind),
        label=label_rows.read(*label),
        event_id=event_id,
        is_counted=counted,
        is_superseded=connection.execute(_NEWER_IMPORT, (root,)).fetchone() is not None,
        task=task or take(connection, operator),
    )


def undoable(
    connection: sqlite3.Connection, annotator: str, *, count: int | None = None
) -> list[int]:
    """Return the ids of the newest events that can be undone, the next one last."""
    newest = islice(_newest(connection, annotator, "undo"), count)
    return [event_id for event_id, _ in newest][::-1]


def append(connection: sqlite3.Connection, new: NewEvent, *, operator: Operator) -> int:
    """Append one event, update the projection of its item, and return the event's id."""
    append_all(connection, [(new, operator)])
    return int(connection.execute("SELECT max(event_id) FROM event").fetchone()[0])


def append_all(connection: sqlite3.Connection, new: Sequence[tuple[NewEvent, Operator]]) -> None:
    """Append events in order, and update the projections of their items."""
    if not new:
        return
    rows = [
        (*_VALUES(event), at_us, who.annotator, who.session, __version__)
        for (event, who), at_us in zip(new, _instants(connection, new), strict=True)
    ]
    before = connection.execute("SELECT ifnull(max(event_id), 0) FROM event").fetchone()[0]
    _insert(connection, rows)
    projection.extend(connection, {event.item_id for event, _ in new}, after=before)


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of ``_COLUMNS`` into ``event``.

    Columns with different values are collected in a temporary table: one statement that appends
    all rows takes half the time of one for each, and foreign keys and checks apply alike. Most
    columns of an import have one value, which the statement gets once.
    """
    columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    differing = {n: column for n, column in columns.items() if column.count(column[0]) < len(rows)}
    values = {name: column[0] for name, column in columns.items() if name not in differing}
    places = {name: f"n.{name}" if name in differing else f":{name}" for name in _COLUMNS}
    source = ""
    if differing:
        names = ", ".join(differing)
        connection.execute(
            f"CREATE TEMP TABLE new_event AS SELECT {names} FROM main.event WHERE false"  # noqa: S608
        )
        connection.executemany(
            f"INSERT INTO temp.new_event VALUES ({', '.join('?' * len(differing))})",  # noqa: S608
            zip(*differing.values(), strict=True),
        )
        source = "FROM temp.new_event n ORDER BY n.rowid"
    sha256 = _SHA256.format(item_id=places["item_id"])
    connection.execute(
        f"INSERT INTO main.event({', '.join(_COLUMNS)}, item_sha) "
        f"SELECT {', '.join(places.values())}, {sha256} {source}",
        values,
    )
    if differing:
        connection.execute("DROP TABLE temp.new_event")


def _instants(
    connection: sqlite3.Connection, new: Iterable[tuple[NewEvent, Operator]]
) -> Iterator[int]:
    """Yield the times of new events.

    An annotator's events never go back in time, so that copies of a workspace agree on the newest.
    """
    earliest: dict[str, int] = {}
    for event, operator in new:
        now, name = to_microseconds(operator.now), operator.annotator
        if name not in earliest:
            query = "SELECT ifnull(max(at_us) + 1, ?) FROM event WHERE annotator = ?"
            earliest[name] = connection.execute(query, (now, name)).fetchone()[0]
        at_us = max(now, earliest[name]) if event.at_us is None else event.at_us
        earliest[name] = max(at_us + 1, earliest[name])
        yield at_us


def _store(
    connection: Connection,
    answer: Answer,
    *,
    operator: Operator,
    lease: Lease | None,
    provenance: Provenance,
    body: bytes,
) -> tuple[int, bool]:
    _check(connection, answer)
    counted = _is_counted(connection, answer, operator=operator, lease=lease)
    if answer.shown is not None:
        _record_shown(connection, answer.shown, operator)
    event_id = append(
        connection,
        NewEvent(
            op_id=answer.op_id,
            kind=answer.kind,
            says=answer.kind,
            item_id=answer.item_id,
            provenance=provenance,
            round=queries.open_round(connection),
            counted=counted,
            label_id=label_rows.identify(connection, answer.label),
            note=answer.note,
            shown_id=answer.shown.shown_id if answer.shown else None,
            lease_fence=lease.fence if lease else None,
            elapsed_ms=answer.elapsed_ms,
            body_sha=body,
        ),
        operator=operator,
    )
    if answer.kind not in ("flag", "unflag"):
        connection.execute(
            "DELETE FROM lease WHERE item_id = ? AND annotator = ?",
            (answer.item_id, operator.annotator),
        )
    return event_id, counted


def _check(connection: sqlite3.Connection, answer: Answer) -> None:
    items.one(connection, answer.item_id)
    needs_label = answer.kind in ("label", "adjudicate")
    if needs_label != (answer.label is not None):
        raise UsageError(
            f"an answer of kind {answer.kind} "
            + ("needs a label" if needs_label else "has no label")
        )
    for uid in answer.label.classes if answer.label else ():
        if not classes.is_active(connection, uid):
            raise UsageError(f"there is no class with the uid {uid}")


def _is_counted(
    connection: Connection, answer: Answer, *, operator: Operator, lease: Lease | None
) -> bool:
    if answer.kind in ("flag", "unflag", "adjudicate"):
        return True
    if lease is not None and queries.is_live(connection, lease, operator, item_id=answer.item_id):
        return True
    row = connection.execute(
        "SELECT i.done < i.need OR EXISTS (SELECT 1 FROM answer a WHERE a.item_id = i.item_id "
        "AND a.annotator = ? AND a.says <> 'skip') FROM item i WHERE i.item_id = ?",
        (operator.annotator, answer.item_id),
    ).fetchone()
    return bool(row[0])


def _record_shown(connection: sqlite3.Connection, shown: Shown, operator: Operator) -> None:
    # Several answers may share one record, for example a flag and then a label.
    connection.execute(
        "INSERT INTO shown VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(shown_id) DO NOTHING",
        (
            shown.shown_id,
            shown.item_id,
            operator.annotator,
            to_microseconds(operator.now),
            shown.round,
            shown.model_sha,
            shown.predicted,
            None if shown.probability is None else float(shown.probability),
            shown.ui,
            shown.used_learner,
        ),
    )


def _newest(
    connection: sqlite3.Connection, annotator: str, says: Literal["undo", "redo"]
) -> Iterator[tuple[int, int]]:
    """Yield what can be undone or redone, newest first, as (answer, event to cancel) pairs.

    The scope is the round of the open query, or all events after the last query was closed.
    Reading backwards, an undo takes the next older entry off the stack of undo, a redo off the
    other one. An answer ends what can be redone.
    """
    number = queries.open_round(connection)
    floor = connection.execute("SELECT ifnull(max(closed_event), 0) FROM query").fetchone()[0]
    rows = connection.execute(
        f"SELECT event_id, kind, refers_to FROM event WHERE annotator = ? AND round IS ? "  # noqa: S608
        f"AND event_id > ? AND kind IN ('undo','redo',{_UNDOABLE[1:]} ORDER BY event_id DESC",
        (annotator, number, floor),
    )
    taken = 0
    for event_id, kind, refers_to in rows:
        if kind == says:
            taken += 1
        elif says == "redo" and kind != "undo":
            return
        elif taken:
            taken -= 1
        else:
            yield refers_to or event_id, event_id


def _append_reversal(
    connection: sqlite3.Connection,
    operator: Operator,
    *,
    says: str,
    root: int,
    tip: int,
    op_id: str | None,
) -> tuple[int, bool]:
    row = connection.execute(
        "SELECT e.item_id, e.kind, e.provenance, e.round, i.done < i.need OR EXISTS (SELECT 1 "
        "FROM answer a WHERE a.item_id = e.item_id AND a.annotator = e.annotator "
        "AND a.says <> 'skip') FROM event e JOIN item i USING(item_id) WHERE e.event_id = ?",
        (root,),
    ).fetchone()
    # As for a late answer: a redo must not change an item that others finished meanwhile.
    counted = says == "undo" or row[1] in ("flag", "unflag", "adjudicate") or bool(row[4])
    event_id = append(
        connection,
        NewEvent(
            op_id=op_id or secrets.token_hex(16),
            kind=says,
            says=says,
            item_id=ItemId(row[0]),
            provenance=cast("Provenance", row[2]),
            round=row[3],
            counted=counted,
            refers_to=root,
            cancels=tip,
        ),
        operator=operator,
    )
    _check_classes(connection, ItemId(row[0]), says=says)
    return event_id, counted


def _check_classes(connection: sqlite3.Connection, item_id: ItemId, *, says: str) -> None:
    """Raise ``UsageError`` if a restored answer names a removed class; the caller rolls back."""
    removed = connection.execute(
        "SELECT c.name FROM answer a JOIN label_class USING(label_id) "
        "JOIN class c USING(class_uid) "
        "WHERE a.item_id = ? AND c.retired_us IS NOT NULL",
        (item_id,),
    ).fetchone()
    if removed is not None:
        raise UsageError(
            f"cannot {says}: it would restore the class {removed[0]}, which was removed; "
            "label the image again instead"
        )


def _digest(answer: Answer, annotator: str, provenance: Provenance) -> bytes:
    label = None if answer.label is None else [answer.label.version, answer.label.payload.hex()]
    body: list[Any] = [answer.kind, answer.item_id, label, annotator, provenance]
    return hashlib.sha256(json.dumps([*body, answer.note]).encode()).digest()
