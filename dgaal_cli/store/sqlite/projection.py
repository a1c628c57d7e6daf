"""The current state of each item in tables.

The tables ``answer``, ``flagged`` and ``verdict`` and the counter ``item.done`` store the results
of ``fold``. They are written in the transaction that appends the event.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId
from dgaal_cli.store.fold import SOURCE, Fact, Folded, fold

_COLUMNS = (
    "e.event_id, e.says, e.item_id, e.annotator, e.label_id, e.refers_to, e.counted, e.round, "
    "ifnull(e.made_us, e.at_us)"
)
_BATCH = 1000
_TABLES = ("answer", "flagged", "verdict")
# Items of which each annotator gave one counted answer, neither undone nor adjudicated.
_PLAIN = """SELECT item_id, count(*) = 1 FROM event
    WHERE item_id IN (SELECT value FROM json_each(?)) GROUP BY item_id
    HAVING min(counted AND says IN ('label','cannot_tell'))
    AND count(*) = count(DISTINCT annotator)"""
_OF_PLAIN = "FROM event WHERE item_id IN (SELECT value FROM json_each(?1))"
# What ``fold`` returns for such items.
_PLAIN_ANSWERS = f"""INSERT INTO answer SELECT item_id, annotator, event_id, says, label_id, round
    {_OF_PLAIN} AND event_id > ?2"""
_PLAIN_VERDICTS = f"""INSERT INTO verdict SELECT item_id, event_id, label_id FROM (
        SELECT item_id, event_id, label_id, row_number() OVER (
            PARTITION BY item_id ORDER BY is_source, votes DESC, given_us, annotator) AS place
        FROM (SELECT item_id, event_id, label_id, annotator, ifnull(made_us, at_us) AS given_us,
            annotator = ?2 AS is_source,
            count(*) OVER (PARTITION BY item_id, label_id, annotator = ?2) AS votes
            {_OF_PLAIN}))
    WHERE place = 1
    ON CONFLICT DO UPDATE SET event_id = excluded.event_id, label_id = excluded.label_id"""  # noqa: S608
# The same for items with one event, in a third of the time.
_ONLY_VERDICTS = f"INSERT INTO verdict SELECT item_id, event_id, label_id {_OF_PLAIN}"
_ONLY_COUNTS = "UPDATE item SET done = 1 WHERE item_id IN (SELECT value FROM json_each(?1))"
_PLAIN_COUNTS = f"""UPDATE item SET done = n.done
    FROM (SELECT item_id, count(*) AS done {_OF_PLAIN} GROUP BY item_id) n
    WHERE item.item_id = n.item_id"""  # noqa: S608


def extend(connection: sqlite3.Connection, chosen: Iterable[ItemId], *, after: int) -> None:
    """Update the projections of items to which events were just appended.

    Most items of an import are plain; few statements write the projections of all of them.

    Args:
        connection: Connection to the store.
        chosen: Items of the new events.
        after: Number of the newest event before.
    """
    changed = set(chosen)
    found = connection.execute(_PLAIN, (json.dumps(sorted(changed)),)).fetchall()
    once = [ItemId(item_id) for item_id, is_only in found if is_only]
    shared = [ItemId(item_id) for item_id, is_only in found if not is_only]
    for plain in filter(None, (once, shared)):
        connection.execute(_PLAIN_ANSWERS, (json.dumps(plain), after))
    if once:
        numbers = json.dumps(once)
        connection.execute(_ONLY_VERDICTS, (numbers,))
        connection.execute(_ONLY_COUNTS, (numbers,))
    if shared:
        numbers = json.dumps(shared)
        connection.execute(_PLAIN_VERDICTS, (numbers, SOURCE))
        connection.execute(_PLAIN_COUNTS, (numbers,))
    if others := changed.difference(once, shared):
        refresh(connection, others)


def refresh(connection: sqlite3.Connection, chosen: Iterable[ItemId]) -> None:
    """Recompute the projections of some items from their events."""
    numbers = json.dumps(sorted(set(chosen)))
    found = list(states(connection, numbers))
    for table in _TABLES:
        connection.execute(
            f"DELETE FROM {table} WHERE item_id IN (SELECT value FROM json_each(?))",  # noqa: S608
            (numbers,),
        )
        rows = (row for item_id, _, folded in found for row in _rows(item_id, folded)[table])
        _insert(connection, table, rows)
    connection.executemany(
        "UPDATE item SET done = ? WHERE item_id = ?",
        ((folded.done, item_id) for item_id, done, folded in found if folded.done != done),
    )


def refresh_shared(connection: sqlite3.Connection) -> None:
    """Recompute the projection of each item that several annotators answered."""
    shared = "SELECT item_id FROM answer GROUP BY item_id HAVING count(*) > 1"
    found = [ItemId(item_id) for (item_id,) in connection.execute(shared)]
    for start in range(0, len(found), _BATCH):
        refresh(connection, found[start : start + _BATCH])


def states(
    connection: sqlite3.Connection, numbers: str, *, newest: int = 2**62
) -> Iterator[tuple[ItemId, int, Folded]]:
    """Yield number, stored ``done`` and folded events of some items.

    Args:
        connection: Connection to the store.
        numbers: JSON array of item numbers.
        newest: Number of the newest event to use.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS}, i.item_id, i.need, i.done "  # noqa: S608
        "FROM item i LEFT JOIN event e ON e.item_id = i.item_id AND e.event_id <= ? "
        "WHERE i.item_id IN (SELECT value FROM json_each(?)) ORDER BY i.item_id, e.event_id",
        (newest, numbers),
    )
    for (item_id, need, done), events in groupby(rows, key=itemgetter(-3, -2, -1)):
        facts = (_fact(row) for row in events if row[0] is not None)
        yield ItemId(item_id), done, fold(facts, need=need)


def rebuild(connection: sqlite3.Connection) -> int:
    """Recompute every projection; return the number of wrong, missing or extra rows."""
    found, correct = _found(connection), _expected(connection)
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608
        _insert(connection, table, sorted(correct[table], key=repr))
    connection.execute("UPDATE item SET done = 0")
    connection.executemany("UPDATE item SET done = ?2 WHERE item_id = ?1", sorted(correct["done"]))
    return sum(len(found[table] ^ correct[table]) for table in found)


def differences(connection: sqlite3.Connection) -> int:
    """Count the wrong, missing and extra projection rows."""
    found, correct = _found(connection), _expected(connection)
    return sum(len(found[table] ^ correct[table]) for table in found)


def check_newest(connection: sqlite3.Connection, path: Path) -> None:
    """Compare the current state of the images of the newest 100 events with their events.

    Raises:
        WorkspaceError: They differ.
    """
    newest = connection.execute(
        "SELECT json_group_array(DISTINCT item_id) FROM "
        "(SELECT item_id FROM event ORDER BY event_id DESC LIMIT 100)"
    ).fetchone()[0]
    for item_id, done, folded in states(connection, newest):
        found = {
            table: set(
                connection.execute(f"SELECT * FROM {table} WHERE item_id = ?", (item_id,))  # noqa: S608
            )
            for table in _TABLES
        }
        correct = {table: set(rows) for table, rows in _rows(item_id, folded).items()}
        if found != correct or done != folded.done:
            raise WorkspaceError(
                f"the current labels in {show(str(path))} do not match the newest events; "
                "run 'dgaal labels check --mend' to recompute them from the events"
            )


def _found(connection: sqlite3.Connection) -> dict[str, set[tuple[Any, ...]]]:
    """Return the projection tables as sets of rows."""
    queries = {table: f"SELECT * FROM {table}" for table in _TABLES}  # noqa: S608
    queries["done"] = "SELECT item_id, done FROM item WHERE done > 0"
    return {table: set(connection.execute(query)) for table, query in queries.items()}


def _expected(connection: sqlite3.Connection) -> dict[str, set[tuple[Any, ...]]]:
    """Return the correct rows, computed from the events."""
    tables: dict[str, set[tuple[Any, ...]]] = {table: set() for table in (*_TABLES, "done")}
    for item_id, folded in every(connection, watermark=None):
        for table, rows in _rows(item_id, folded).items():
            tables[table].update(rows)
        if folded.done:
            tables["done"].add((item_id, folded.done))
    return tables


def every(
    connection: sqlite3.Connection, *, watermark: int | None
) -> Iterator[tuple[ItemId, Folded]]:
    """Fold every item with events, up to a watermark (None: all events)."""
    need: dict[int, int] = dict(
        connection.execute("SELECT item_id, need FROM item WHERE need <> 1").fetchall()
    )
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM event e WHERE event_id <= ? "  # noqa: S608
        "ORDER BY item_id, event_id",
        (2**62 if watermark is None else watermark,),
    )
    for item_id, facts in groupby((_fact(row) for row in rows), key=attrgetter("item_id")):
        yield item_id, fold(facts, need=need.get(item_id, 1))


def _fact(row: tuple[Any, ...]) -> Fact:
    return Fact(
        event_id=row[0],
        says=row[1],
        item_id=ItemId(row[2]),
        annotator=row[3],
        label=row[4],
        refers_to=row[5],
        counted=bool(row[6]),
        round=row[7],
        given_us=row[8],
    )


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    places = {"answer": "?, ?, ?, ?, ?, ?", "flagged": "?, ?, ?", "verdict": "?, ?, ?"}[table]
    connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608


def _rows(item_id: ItemId, folded: Folded) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of one item by table."""
    verdict = folded.verdict
    return {
        "answer": [
            (item_id, annotator, fact.event_id, fact.says, fact.label, fact.round)
            for annotator, fact in folded.answers.items()
        ],
        "flagged": [
            (item_id, annotator, fact.event_id) for annotator, fact in folded.flags.items()
        ],
        "verdict": [(item_id, verdict.event_id, verdict.label)] if verdict else [],
    }
