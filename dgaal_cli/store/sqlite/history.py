"""Read effective labels (current or at a watermark), answers and the history."""

import json
import sqlite3
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.instants import to_iso
from dgaal_cli.store.records import AnswerRecord, EventRecord, Label, LabelRecord
from dgaal_cli.store.sqlite import event_rows, label_rows, projection
from dgaal_cli.store.sqlite.items import decode_path

_LABEL = f"""SELECT i.item_id, i.sample AS sample_id, e.provenance, e.annotator, e.round,
    e.event_id, ifnull(e.made_us, e.at_us) AS at, i.is_synthetic, i.parent, {label_rows.COLUMNS}
    FROM event e JOIN item i USING(item_id) JOIN label l USING(label_id)"""  # noqa: S608
_NEWEST_ACTION = f"""ifnull((SELECT max(u.event_id) FROM event u WHERE u.item_id = e.item_id
    AND u.event_id > e.event_id AND u.kind IN ('undo','redo') AND u.annotator = e.annotator
    AND u.counted AND {event_rows.is_of_flag("u")} = {event_rows.is_of_flag("e")}),
    e.event_id)"""  # noqa: S608 - constants
_WITHDRAWN = f"""SELECT event_id, 0 FROM (SELECT event_id FROM answer WHERE says = 'skip'
    UNION ALL SELECT max(e.event_id) FROM event e
    LEFT JOIN answer a USING(item_id, annotator) LEFT JOIN flagged f USING(item_id, annotator)
    WHERE e.counted AND e.says IN ('undo','redo','unflag')
    AND iif({event_rows.is_of_flag("e")}, f.event_id, a.event_id) IS NULL
    GROUP BY e.item_id, e.annotator, {event_rows.is_of_flag("e")}) ORDER BY event_id"""  # noqa: S608
# In the order of the fields of ``AnswerRecord``, with the ids of label and event.
_ANSWERS = f"""SELECT CASE WHEN e.says NOT IN ('undo','redo') THEN e.says
    WHEN {event_rows.is_of_flag("e")} THEN 'unflag' ELSE 'undo' END,
    i.item_id, i.sample, i.sha256, i.w, i.h, e.label_id, e.provenance, e.annotator, e.round,
    e.event_id, ifnull(e.made_us, e.at_us), c.op_id,
    nullif(c.at_us, ifnull(e.made_us, e.at_us)), e.elapsed_ms, e.note,
    e.event_id, i.is_synthetic, p.sample
    FROM json_each(?) present JOIN event e ON e.event_id = present.value
    JOIN event c ON c.event_id = {_NEWEST_ACTION}
    JOIN item i ON i.item_id = e.item_id LEFT JOIN item p ON p.item_id = i.parent
    ORDER BY present.key"""  # noqa: S608 - constants
_LABEL_PLACE = AnswerRecord._fields.index("label")
_READ: Mapping[str, Callable[[Any], Any]] = {
    "sample_id": decode_path,
    "parent": lambda parent: decode_path(parent) if isinstance(parent, bytes) else parent,
    "at": to_iso,
    "changed_at": to_iso,
    "is_synthetic": bool,
    "is_counted": bool,
}
_Record = TypeVar("_Record", LabelRecord, EventRecord)


def watermark(connection: sqlite3.Connection) -> int:
    """Return the number of the newest event, which is their count: events are never deleted."""
    return int(connection.execute("SELECT ifnull(max(event_id), 0) FROM event").fetchone()[0])


def labels(connection: sqlite3.Connection, *, watermark: int | None = None) -> list[LabelRecord]:
    """Return effective labels, from the projection or folded up to a watermark."""
    if watermark is None:
        rows = connection.execute(f"{_LABEL} JOIN verdict v USING(event_id) ORDER BY i.item_id")
        return _records(LabelRecord, rows)
    records: list[LabelRecord] = []
    for _, folded in projection.every(connection, watermark=watermark):
        if folded.verdict is not None and folded.verdict.label is not None:
            event_id = folded.verdict.event_id
            row = connection.execute(f"{_LABEL} WHERE e.event_id = ?", (event_id,))
            records += _records(LabelRecord, row)
    return records


def verdicts(
    connection: sqlite3.Connection, *, items: Collection[ItemId] | None = None
) -> dict[ItemId, Label | None]:
    """Return the effective label of each item with a verdict, None for "can't tell"."""
    chosen = "" if items is None else " WHERE item_id IN (SELECT value FROM json_each(:items))"
    rows = connection.execute(
        f"SELECT item_id, label_id FROM verdict{chosen}",  # noqa: S608 - constants
        {"items": json.dumps(sorted(items or ()))},
    ).fetchall()
    labels = label_rows.by_id(connection, {label_id for _, label_id in rows} - {None})
    return {ItemId(item_id): labels.get(label_id) for item_id, label_id in rows}


def cannot_tell(connection: sqlite3.Connection, *, watermark: int | None = None) -> set[ItemId]:
    """Return the items whose verdict is "can't tell"."""
    if watermark is None:
        rows = connection.execute("SELECT item_id FROM verdict WHERE label_id IS NULL")
        return {ItemId(item_id) for (item_id,) in rows}
    return {
        item_id
        for item_id, folded in projection.every(connection, watermark=watermark)
        if folded.verdict is not None and folded.verdict.label is None
    }


def current_events(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return event and "is effective" of each annotator's current answer and flag, oldest first."""
    return connection.execute(
        """SELECT event_id, event_id IN (SELECT event_id FROM verdict) FROM (
        SELECT event_id FROM answer WHERE says <> 'skip' UNION ALL SELECT event_id FROM flagged)
        ORDER BY event_id"""
    ).fetchall()


def effective_events(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return the event of the label of each image, as in ``current_events``, by name."""
    return connection.execute(
        """SELECT v.event_id, 1 FROM verdict v JOIN item i USING(item_id)
        WHERE v.label_id IS NOT NULL ORDER BY i.sample"""
    ).fetchall()


def distinct_labels(
    connection: sqlite3.Connection, after: int, count: int, *, include_synthetic: bool
) -> list[tuple[int, Label, SampleId]]:
    """Return number, label and an image of up to ``count`` effective labels that differ.

    Args:
        connection: Connection to the store.
        after: Number of the label after which they begin.
        count: Maximum number.
        include_synthetic: Use the labels of synthetic images too.
    """
    rows = connection.execute(
        f"""SELECT l.label_id, (SELECT i.sample FROM verdict v JOIN item i USING(item_id)
        WHERE v.label_id = l.label_id AND i.is_synthetic <= ? LIMIT 1) AS sample,
        {label_rows.COLUMNS} FROM label l WHERE l.label_id > ? AND sample IS NOT NULL
        ORDER BY l.label_id LIMIT ?""",  # noqa: S608 - constants
        (include_synthetic, after, count),
    )
    found = ((number, label_rows.read(*label), sample) for number, sample, *label in rows)
    return [(number, label, decode_path(sample)) for number, label, sample in found if label]


def answers(
    connection: sqlite3.Connection, current: Sequence[tuple[int, int]]
) -> list[AnswerRecord]:
    """Return the answers of some events, as ``current_events`` returns them, in their order."""
    present = json.dumps([event for event, _ in current])
    rows = connection.execute(_ANSWERS, (present,)).fetchall()
    if not rows:
        return []
    ids = {row[_LABEL_PLACE] for row in rows} - {None}
    effective = {event for event, is_effective in current if is_effective}
    reads = {
        **_READ,
        "label": label_rows.by_id(connection, ids).get,
        "is_effective": effective.__contains__,
    }
    # Column by column: a loop over the columns of each row takes twice as long.
    columns = [
        column
        if (read := reads.get(name)) is None
        else [None if value is None else read(value) for value in column]
        for name, column in zip(AnswerRecord._fields, zip(*rows, strict=True), strict=True)
    ]
    return [AnswerRecord._make(row) for row in zip(*columns, strict=True)]


def outcome(connection: sqlite3.Connection, event_id: int) -> AnswerRecord:
    """Return what an annotator states about an image after an event, as an export does."""
    current = connection.execute(
        f"""SELECT coalesce(iif({event_rows.is_of_flag("e")}, f.event_id, a.event_id),
        (SELECT max(u.event_id) FROM event u WHERE u.item_id = e.item_id AND u.counted
        AND u.annotator = e.annotator
        AND {event_rows.is_of_flag("u")} = {event_rows.is_of_flag("e")}),
        e.event_id) FROM event e LEFT JOIN answer a USING(item_id, annotator)
        LEFT JOIN flagged f USING(item_id, annotator) WHERE e.event_id = ?""",  # noqa: S608
        (event_id,),
    ).fetchone()[0]
    return answers(connection, [(current, 0)])[0]


def withdrawn_events(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return the events of skips and of what was undone, without an answer since, oldest first."""
    return connection.execute(_WITHDRAWN).fetchall()


def by_op_id(
    connection: sqlite3.Connection, op_ids: Iterable[str]
) -> dict[str, tuple[ItemId, str]]:
    """Return item and annotator of some events by their ``op_id``."""
    rows = connection.execute(
        "SELECT op_id, item_id, annotator FROM event "
        "WHERE op_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(op_ids)),),
    )
    return {op_id: (ItemId(item_id), annotator) for op_id, item_id, annotator in rows}


def page(
    connection: sqlite3.Connection, count: int, *, is_newest_first: bool = False, **matching: Any
) -> list[EventRecord]:
    """Return up to ``count`` events that match; see ``LabelReader.events``."""
    order = "DESC" if is_newest_first else "ASC"
    given = {"after": 0} | {name: value for name, value in matching.items() if value is not None}
    # Only conditions that are given, so that SQLite can use an index.
    where = "".join(f" AND e.{name} = :{name}" for name in given if name != "after")
    rows = connection.execute(
        f"""SELECT e.event_id, e.op_id, e.kind, e.says, e.item_id, i.sample AS sample_id,
        e.annotator, e.note, e.refers_to, e.counted AS is_counted, e.provenance, e.round,
        e.elapsed_ms, ifnull(e.made_us, e.at_us) AS at, e.session, s.predicted, s.ui,
        {label_rows.COLUMNS} FROM event e JOIN item i USING(item_id)
        LEFT JOIN label l USING(label_id) LEFT JOIN shown s USING(shown_id)
        WHERE e.event_id > :after{where}
        ORDER BY e.event_id {order} LIMIT :count""",  # noqa: S608 - names of columns
        {**given, "count": count},
    )
    return _records(EventRecord, rows)


def latest(
    connection: sqlite3.Connection, count: int, *, annotator: str | None = None
) -> list[EventRecord]:
    """Return the newest events, newest first."""
    return page(connection, count, is_newest_first=True, annotator=annotator)


def _records(kind: type[_Record], rows: sqlite3.Cursor) -> list[_Record]:
    """Build records: columns have the names of fields, the last ones are ``label_rows.COLUMNS``."""
    # Interned, or Python compares each with the parameters of ``kind`` by letters, for each row.
    names = [sys.intern(column[0]) for column in rows.description[: -label_rows.WIDTH]]
    reads = [(name, _READ[name]) for name in names if name in _READ]
    records: list[_Record] = []
    for row in rows:
        values = dict(zip(names, row, strict=False))
        for name, read in reads:
            values[name] = read(values[name])
        records.append(kind(label=cast("Any", label_rows.read(*row[len(names) :])), **values))
    return records
