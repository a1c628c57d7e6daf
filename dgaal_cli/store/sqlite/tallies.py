"""Counts of answers, and items with different answers, computed by SQL aggregates."""

import sqlite3
from itertools import groupby
from operator import itemgetter

from dgaal_cli.ids import ItemId
from dgaal_cli.store.records import AnswerTally, DisputedItem
from dgaal_cli.store.sqlite import label_rows
from dgaal_cli.store.sqlite.items import decode_path

_GIVEN = "says IN ('label','cannot_tell','adjudicate')"
# Equal labels have equal ids.
_DISPUTED = f"""SELECT item_id FROM answer WHERE {_GIVEN} GROUP BY item_id
    HAVING min(ifnull(label_id, 0)) <> max(ifnull(label_id, 0))
    AND NOT max(says = 'adjudicate')"""  # noqa: S608
_BY_ANNOTATOR = """SELECT annotator, count(*) AS n FROM answer WHERE says NOT IN ('skip','inherit')
    GROUP BY annotator ORDER BY n DESC, min(event_id)"""
_BY_PROVENANCE = """SELECT e.provenance, count(*) AS n FROM verdict v JOIN event e USING(event_id)
    WHERE v.label_id IS NOT NULL GROUP BY e.provenance ORDER BY n DESC, min(v.item_id)"""
_MEDIAN_MS = """WITH timed AS (SELECT e.elapsed_ms AS ms, count(*) OVER () AS n,
    row_number() OVER (ORDER BY e.elapsed_ms) AS place
    FROM event e CROSS JOIN answer a USING(item_id, annotator)
    WHERE e.elapsed_ms IS NOT NULL AND a.event_id = e.event_id AND a.says <> 'skip')
    SELECT CAST(avg(ms) AS INTEGER) FROM timed WHERE place IN ((n + 1) / 2, n / 2 + 1)"""


def disputed(connection: sqlite3.Connection) -> list[DisputedItem]:
    """Return the items with different answers and no decision, by number."""
    rows = connection.execute(
        "SELECT a.item_id, i.sample, v.label_id, a.annotator, a.label_id "  # noqa: S608
        "FROM answer a JOIN item i USING(item_id) JOIN verdict v USING(item_id) "
        f"WHERE a.{_GIVEN} AND a.item_id IN ({_DISPUTED}) ORDER BY a.item_id, a.event_id"
    ).fetchall()
    labels = label_rows.by_id(connection, {row[4] for row in rows} - {None})
    return [
        DisputedItem(
            item_id=ItemId(number),
            sample_id=decode_path(sample),
            answers=tuple((row[3], labels.get(row[4])) for row in given),
            current=labels.get(current),
        )
        for (number, sample, current), given in groupby(rows, key=itemgetter(0, 1, 2))
    ]


def disputed_ids(connection: sqlite3.Connection) -> set[ItemId]:
    """Return the numbers of the items of ``disputed``."""
    return {ItemId(number) for (number,) in connection.execute(_DISPUTED)}


def tally(connection: sqlite3.Connection) -> AnswerTally:
    """Count the current answers by annotator, and the effective labels by provenance."""
    count = f"SELECT count(*) FROM ({_DISPUTED})"  # noqa: S608
    return AnswerTally(
        by_annotator=tuple(connection.execute(_BY_ANNOTATOR)),
        by_provenance=tuple(connection.execute(_BY_PROVENANCE)),
        disagreements=connection.execute(count).fetchone()[0],
        median_ms=connection.execute(_MEDIAN_MS).fetchone()[0],
    )
