"""Counts of items, labels and answers: of the whole store, or updated by the newest events."""

import dataclasses
import sqlite3
from collections import Counter

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Counts
from dgaal_cli.store.sqlite import projection
from dgaal_cli.store.sqlite.history import watermark

_GIVEN = ("label", "cannot_tell")
_MAX_NEW = 1000
"""Number of new events above which everything is counted again."""


def counts(connection: sqlite3.Connection, *, known: Counts | None = None) -> Counts:
    """Count items, labels and answers; see ``LabelReader.counts``."""
    newest = watermark(connection)
    if known is None or not 0 <= newest - known.newest_event <= _MAX_NEW:
        return _count_all(connection)
    if newest == known.newest_event:
        return known
    numbers = connection.execute(
        "SELECT json_group_array(DISTINCT item_id) FROM event WHERE event_id > ?",
        (known.newest_event,),
    ).fetchone()[0]
    before, classes_before = _count_some(connection, numbers, newest=known.newest_event)
    after, classes_after = _count_some(connection, numbers, newest=newest)
    by_class = Counter(known.by_class)
    by_class.update(classes_after)
    by_class.subtract(classes_before)
    return dataclasses.replace(
        known,
        newest_event=newest,
        by_class={uid: count for uid, count in by_class.items() if count},
        **{name: getattr(known, name) + after[name] - before[name] for name in {*before, *after}},
    )


def _count_all(connection: sqlite3.Connection) -> Counts:
    groups = connection.execute(
        """SELECT i.is_synthetic, sum(i.state <> 'quarantined'), count(v.label_id),
        sum(v.event_id IS NOT NULL AND v.label_id IS NULL),
        sum(v.event_id IS NULL AND i.state = 'ok'), count(*)
        FROM item i LEFT JOIN verdict v USING(item_id) GROUP BY i.is_synthetic"""
    )
    by_kind: dict[int, list[int]] = {kind: found for kind, *found in groups}
    pool, synthetic = (by_kind.get(kind, [0] * 5) for kind in (0, 1))
    others = connection.execute(
        """SELECT (SELECT count(*) FROM answer a JOIN event e USING(event_id)
         WHERE a.says IN ('label','cannot_tell') AND e.provenance IN ('human','simulated')),
        (SELECT count(DISTINCT item_id) FROM flagged), (SELECT count(*) FROM unreadable)"""
    ).fetchone()
    by_class = connection.execute(
        "SELECT n.class_uid, count(*) FROM verdict v JOIN item i USING(item_id) "
        "JOIN label_class n USING(label_id) WHERE NOT i.is_synthetic GROUP BY n.class_uid"
    )
    return Counts(
        newest_event=watermark(connection),
        items=pool[0],
        labeled=pool[1],
        cannot_tell=pool[2],
        unlabeled=pool[3],
        synthetic=synthetic[4],
        synthetic_labeled=synthetic[1],
        annotations=others[0],
        flagged=others[1],
        quarantined=others[2],
        by_class={ClassUid(uid): count for uid, count in by_class},
    )


def _count_some(
    connection: sqlite3.Connection, numbers: str, *, newest: int
) -> tuple[Counter[str], Counter[ClassUid]]:
    """Return what some items add to fields of ``Counts``, and to ``by_class``.

    Args:
        connection: Connection to the store.
        numbers: JSON array of item numbers.
        newest: Number of the newest event to use.
    """
    fields: Counter[str] = Counter()
    classes: Counter[ClassUid] = Counter()
    for item_id, _, folded in projection.states(connection, numbers, newest=newest):
        is_synthetic, state = connection.execute(
            "SELECT is_synthetic, state FROM item WHERE item_id = ?", (item_id,)
        ).fetchone()
        given = [fact.event_id for fact in folded.answers.values() if fact.says in _GIVEN]
        fields["annotations"] += sum(_is_of_oracle(connection, event_id) for event_id in given)
        fields["flagged"] += bool(folded.flags)
        verdict = folded.verdict
        is_labeled = verdict is not None and verdict.label is not None
        if is_synthetic:
            fields["synthetic_labeled"] += is_labeled
            continue
        fields["labeled"] += is_labeled
        fields["cannot_tell"] += verdict is not None and not is_labeled
        fields["unlabeled"] += verdict is None and state == "ok"
        named = connection.execute(
            "SELECT class_uid FROM label_class WHERE label_id = ?",
            (verdict.label if verdict else None,),
        )
        classes.update(ClassUid(uid) for (uid,) in named)
    return fields, classes


def _is_of_oracle(connection: sqlite3.Connection, event_id: int) -> bool:
    row = connection.execute("SELECT provenance FROM event WHERE event_id = ?", (event_id,))
    return row.fetchone()[0] in ("human", "simulated")
