"""Counts of items, labels and answers: of the whole store, or updated by the newest events."""

import dataclasses
import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Counts
from dgaal_cli.store.sqlite import projection
from dgaal_cli.store.sqlite.history import watermark

# Few images are not plain ones of the pool; the verdicts of all are counted in an index.
_RARE = """SELECT i.is_synthetic, i.state, v.item_id IS NOT NULL, v.label_id, count(*)
    FROM item i LEFT JOIN verdict v USING(item_id)
    WHERE i.is_synthetic OR i.state <> 'ok' GROUP BY 1, 2, 3, 4"""
# CROSS JOIN: read events in their order; looking up the event of each answer takes longer.
_ANNOTATIONS = """SELECT count(*) FROM event e CROSS JOIN answer a USING(item_id, annotator)
    WHERE e.provenance IN ('human', 'simulated') AND a.event_id = e.event_id
    AND a.says IN ('label', 'cannot_tell')"""
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
    rare = connection.execute(_RARE).fetchall()
    synthetic = [row for row in rare if row[0]]
    set_aside = [row for row in rare if not row[0]]
    labels: Counter[int | None] = Counter(
        dict(connection.execute("SELECT label_id, count(*) FROM verdict GROUP BY label_id"))
    )
    labels.subtract(_by_label(synthetic))
    pool = connection.execute("SELECT count(*) FROM item").fetchone()[0] - _sum(synthetic)
    by_class: Counter[ClassUid] = Counter()
    for label_id, uid in connection.execute("SELECT label_id, class_uid FROM label_class"):
        by_class[ClassUid(uid)] += labels[label_id]
    cannot_tell = labels.pop(None, 0)
    without_verdict = [row for row in set_aside if not row[2]]
    flagged, quarantined = connection.execute(
        "SELECT (SELECT count(DISTINCT item_id) FROM flagged), (SELECT count(*) FROM unreadable)"
    ).fetchone()
    return Counts(
        newest_event=watermark(connection),
        items=pool - _sum(row for row in set_aside if row[1] == "quarantined"),
        labeled=labels.total(),
        cannot_tell=cannot_tell,
        unlabeled=pool - labels.total() - cannot_tell - _sum(without_verdict),
        synthetic=_sum(synthetic),
        synthetic_labeled=_sum(row for row in synthetic if row[3] is not None),
        annotations=connection.execute(_ANNOTATIONS).fetchone()[0],
        flagged=flagged,
        quarantined=quarantined,
        by_class={uid: count for uid, count in by_class.items() if count},
    )


def _sum(rows: Iterable[tuple[Any, ...]]) -> int:
    return sum(row[-1] for row in rows)


def _by_label(rows: Iterable[tuple[Any, ...]]) -> Counter[int | None]:
    """Count the verdicts of rows of ``_RARE`` by label; None for "can't tell"."""
    found: Counter[int | None] = Counter()
    for _, _, has_verdict, label_id, count in rows:
        if has_verdict:
            found[label_id] += count
    return found


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
