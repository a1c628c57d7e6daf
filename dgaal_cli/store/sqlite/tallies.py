"""Counts of answers, and items with different answers, computed by SQL aggregates."""

import sqlite3
from collections.abc import Callable
from itertools import chain
from operator import itemgetter

import msgspec

from dgaal_cli.ids import ItemId
from dgaal_cli.store.fold import SOURCE
from dgaal_cli.store.records import AnswerTally, DisputedItem, Label
from dgaal_cli.store.sqlite import label_rows
from dgaal_cli.store.sqlite.items import decode_path

_GIVEN = f"says IN ('label','cannot_tell','adjudicate') AND annotator <> '{SOURCE}'"
# Equal labels have equal ids.
_DIFFER = """GROUP BY item_id HAVING min(ifnull(label_id, 0)) <> max(ifnull(label_id, 0))
    AND NOT max(says = 'adjudicate')"""
_DISPUTED = f"SELECT item_id FROM answer WHERE {_GIVEN} {_DIFFER}"  # noqa: S608
# An array for each item takes a third of the time of a row for each answer.
_DISPUTED_ANSWERS = f"""SELECT d.item_id, i.sample, v.label_id, d.given FROM (
    SELECT item_id, json_group_array(json_array(event_id, annotator, label_id)) AS given
    FROM answer WHERE {_GIVEN} AND item_id > ? {_DIFFER} ORDER BY item_id LIMIT ?) d
    JOIN item i USING(item_id) JOIN verdict v USING(item_id) ORDER BY d.item_id"""  # noqa: S608
_GIVEN_ANSWERS = msgspec.json.Decoder(list[list[tuple[int, str, int | None]]])
"""Decodes event, annotator and label of the answers to each item of a page."""
_BY_ANNOTATOR = """SELECT annotator, count(*) AS n FROM answer WHERE says NOT IN ('skip','inherit')
    GROUP BY annotator ORDER BY n DESC, min(event_id)"""
_BY_PROVENANCE = """SELECT e.provenance, count(*) AS n FROM verdict v JOIN event e USING(event_id)
    WHERE v.label_id IS NOT NULL GROUP BY e.provenance ORDER BY n DESC, min(v.item_id)"""
_MEDIAN_MS = """WITH timed AS (SELECT e.elapsed_ms AS ms, count(*) OVER () AS n,
    row_number() OVER (ORDER BY e.elapsed_ms) AS place
    FROM event e CROSS JOIN answer a USING(item_id, annotator)
    WHERE e.elapsed_ms IS NOT NULL AND a.event_id = e.event_id AND a.says <> 'skip')
    SELECT CAST(avg(ms) AS INTEGER) FROM timed WHERE place IN ((n + 1) / 2, n / 2 + 1)"""


def disputed(
    connection: sqlite3.Connection, after: int, count: int, to_text: Callable[[Label], str]
) -> list[DisputedItem]:
    """Return up to ``count`` items with different answers and no decision, by number.

    Args:
        connection: Connection to the store.
        after: Number of the item after which they begin.
        count: Maximum number.
        to_text: Text of a label; called once for each of them.
    """
    rows = connection.execute(_DISPUTED_ANSWERS, (after, count)).fetchall()
    # One call for the page takes half the time of a call for each item.
    answers = _GIVEN_ANSWERS.decode(f"[{','.join([given for *_, given in rows])}]")
    for given in answers:
        given.sort()
    ids = set(map(itemgetter(2), chain(rows, chain.from_iterable(answers)))) - {None}
    known = label_rows.by_id(connection, ids)
    labels: dict[int | None, str | None] = {None: None}
    labels.update((number, to_text(label)) for number, label in known.items() if label is not None)
    return [
        DisputedItem(
            ItemId(number),
            decode_path(sample),
            tuple([(annotator, labels[label_id]) for _, annotator, label_id in given]),
            labels[current],
        )
        for (number, sample, current, _), given in zip(rows, answers, strict=True)
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
