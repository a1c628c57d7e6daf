"""Read effective labels (current or at a watermark), answers, counts and the history."""

import sqlite3
from typing import Any, cast

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.store.instants import to_iso
from dgaal_cli.store.records import (
    AnswerRecord,
    Counts,
    EventRecord,
    LabelRecord,
    Provenance,
    ShownAs,
    Verdict,
)
from dgaal_cli.store.sqlite import label_rows, projection
from dgaal_cli.store.sqlite.items import decode_path

_LABEL = f"""SELECT i.item_id, i.sample, e.provenance, e.annotator, e.round, e.event_id,
    ifnull(e.made_us, e.at_us), i.is_synthetic, i.parent, {label_rows.COLUMNS}
    FROM event e JOIN item i USING(item_id) JOIN label l USING(label_id)"""  # noqa: S608


def watermark(connection: sqlite3.Connection) -> int:
    """Return the number of the newest event; 0 in an empty store."""
    return int(connection.execute("SELECT ifnull(max(event_id), 0) FROM event").fetchone()[0])


def labels(connection: sqlite3.Connection, *, watermark: int | None = None) -> list[LabelRecord]:
    """Return effective labels, from the projection or folded up to a watermark."""
    if watermark is None:
        rows = connection.execute(f"{_LABEL} JOIN verdict v USING(event_id) ORDER BY i.item_id")
        return [_label(row) for row in rows]
    records: list[LabelRecord] = []
    for _, folded in projection.every(connection, watermark=watermark):
        if folded.verdict is not None and folded.verdict.label is not None:
            row = connection.execute(
                f"{_LABEL} WHERE e.event_id = ?",
                (folded.verdict.event_id,),
            ).fetchone()
            records.append(_label(row))
    return records


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


def answers(connection: sqlite3.Connection) -> list[AnswerRecord]:
    """Return each annotator's current answer to each item, oldest first, without skips."""
    rows = connection.execute(
        f"""SELECT e.says, i.item_id, i.sample, i.sha256, i.w, i.h, e.provenance,
        e.annotator, e.round, e.event_id, ifnull(e.made_us, e.at_us), e.elapsed_ms, e.note,
        v.event_id IS e.event_id, i.is_synthetic, p.sample, {label_rows.COLUMNS}
        FROM (SELECT event_id FROM answer WHERE says <> 'skip' UNION ALL
              SELECT event_id FROM flagged) present
        JOIN event e USING(event_id) JOIN item i USING(item_id)
        LEFT JOIN label l ON l.label_id = e.label_id
        LEFT JOIN verdict v ON v.item_id = i.item_id
        LEFT JOIN item p ON p.item_id = i.parent
        ORDER BY e.event_id"""  # noqa: S608 - constants
    )
    return [
        AnswerRecord(
            kind=cast("Verdict", row[0]),
            item_id=ItemId(row[1]),
            sample_id=decode_path(row[2]),
            sha256=bytes(row[3]),
            width=row[4],
            height=row[5],
            label=label_rows.read(*row[16:]),
            provenance=cast("Provenance", row[6]),
            annotator=row[7],
            round=row[8],
            event_id=row[9],
            at=to_iso(row[10]),
            elapsed_ms=row[11],
            note=row[12],
            is_effective=bool(row[13]),
            is_synthetic=bool(row[14]),
            parent=None if row[15] is None else decode_path(row[15]),
        )
        for row in rows
    ]


def counts(connection: sqlite3.Connection) -> Counts:
    """Count items, labels and answers."""
    pool = connection.execute(
        """SELECT ifnull(sum(i.state <> 'quarantined'), 0), ifnull(sum(v.label_id IS NOT NULL), 0),
        ifnull(sum(v.event_id IS NOT NULL AND v.label_id IS NULL), 0),
        ifnull(sum(v.event_id IS NULL AND i.state = 'ok'), 0)
        FROM item i LEFT JOIN verdict v USING(item_id) WHERE NOT i.is_synthetic"""
    ).fetchone()
    others = connection.execute(
        """SELECT (SELECT count(*) FROM item WHERE is_synthetic),
        (SELECT count(*) FROM verdict v JOIN item i USING(item_id)
         WHERE i.is_synthetic AND v.label_id IS NOT NULL),
        (SELECT count(*) FROM answer a JOIN event e USING(event_id)
         WHERE a.says IN ('label','cannot_tell') AND e.provenance IN ('human','simulated')),
        (SELECT count(DISTINCT item_id) FROM flagged), (SELECT count(*) FROM unreadable)"""
    ).fetchone()
    by_class = connection.execute(
        "SELECT n.class_uid, count(*) FROM verdict v JOIN item i USING(item_id) "
        "JOIN label_class n USING(label_id) WHERE NOT i.is_synthetic GROUP BY n.class_uid"
    )
    return Counts(
        items=pool[0],
        labeled=pool[1],
        cannot_tell=pool[2],
        unlabeled=pool[3],
        synthetic=others[0],
        synthetic_labeled=others[1],
        annotations=others[2],
        flagged=others[3],
        quarantined=others[4],
        by_class={ClassUid(uid): count for uid, count in by_class},
    )


def page(
    connection: sqlite3.Connection,
    count: int,
    *,
    is_newest_first: bool = False,
    **matching: Any,
) -> list[EventRecord]:
    """Return up to ``count`` events that match; see ``LabelReader.events``."""
    order = "DESC" if is_newest_first else "ASC"
    values = {"after": 0, "item_id": None, "annotator": None, "round": None, "kind": None}
    rows = connection.execute(
        f"""SELECT e.event_id, e.op_id, e.kind, e.item_id, i.sample, e.annotator,
        e.note, e.refers_to, e.counted, e.provenance, e.round, e.elapsed_ms,
        ifnull(e.made_us, e.at_us), e.session, s.predicted, s.ui, {label_rows.COLUMNS}
        FROM event e JOIN item i USING(item_id) LEFT JOIN label l USING(label_id)
        LEFT JOIN shown s USING(shown_id)
        WHERE e.event_id > :after AND (:item_id IS NULL OR e.item_id = :item_id)
        AND (:annotator IS NULL OR e.annotator = :annotator)
        AND (:round IS NULL OR e.round = :round) AND (:kind IS NULL OR e.kind = :kind)
        ORDER BY e.event_id {order} LIMIT :count""",  # noqa: S608 - constants
        {**values, **matching, "count": count},
    )
    return [_event(row) for row in rows]


def latest(
    connection: sqlite3.Connection, count: int, *, annotator: str | None = None
) -> list[EventRecord]:
    """Return the newest events, newest first."""
    return page(connection, count, is_newest_first=True, annotator=annotator)


def _event(row: tuple[Any, ...]) -> EventRecord:
    return EventRecord(
        event_id=row[0],
        op_id=row[1],
        kind=row[2],
        item_id=ItemId(row[3]),
        sample_id=decode_path(row[4]),
        annotator=row[5],
        label=label_rows.read(*row[16:]),
        note=row[6],
        refers_to=row[7],
        is_counted=bool(row[8]),
        provenance=cast("Provenance", row[9]),
        round=row[10],
        elapsed_ms=row[11],
        at=to_iso(row[12]),
        session=row[13],
        predicted=None if row[14] is None else ClassUid(row[14]),
        ui=cast("ShownAs | None", row[15]),
    )


def _label(row: tuple[Any, ...]) -> LabelRecord:
    label = label_rows.read(*row[9:])
    assert label is not None  # ``_LABEL`` uses an inner join
    return LabelRecord(
        item_id=ItemId(row[0]),
        sample_id=decode_path(row[1]),
        label=label,
        provenance=cast("Provenance", row[2]),
        annotator=row[3],
        round=row[4],
        event_id=row[5],
        at=to_iso(row[6]),
        is_synthetic=bool(row[7]),
        parent=None if row[8] is None else ItemId(row[8]),
    )
