"""The current state of each item in tables.

The tables ``answer``, ``flagged`` and ``verdict`` and the counter ``item.done`` store the results
of ``fold``. They are written in the transaction that appends the event.
"""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId
from dgaal_cli.store.fold import Fact, Folded, fold

_COLUMNS = "event_id, says, item_id, annotator, label_id, refers_to, counted, round"
_TABLES = ("answer", "flagged", "verdict")


def refresh(connection: sqlite3.Connection, item_id: ItemId) -> None:
    """Recompute the projection of one item from its events."""
    done, folded = _fold_one(connection, item_id)
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table} WHERE item_id = ?", (item_id,))  # noqa: S608
    for table, row in _rows(item_id, folded):
        _insert(connection, table, row)
    if folded.done != done:
        connection.execute("UPDATE item SET done = ? WHERE item_id = ?", (folded.done, item_id))


def _fold_one(connection: sqlite3.Connection, item_id: ItemId) -> tuple[int, Folded]:
    """Return the stored ``done`` of an item, and its events folded."""
    need, done = connection.execute(
        "SELECT need, done FROM item WHERE item_id = ?", (item_id,)
    ).fetchone()
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM event WHERE item_id = ? ORDER BY event_id",  # noqa: S608
        (item_id,),
    )
    return done, fold((_fact(row) for row in rows), need=need)


def rebuild(connection: sqlite3.Connection) -> int:
    """Recompute every projection; return the number of wrong, missing or extra rows."""
    found, correct = _found(connection), _expected(connection)
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608
        for row in sorted(correct[table], key=repr):
            _insert(connection, table, row)
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
        "SELECT DISTINCT item_id FROM (SELECT item_id FROM event ORDER BY event_id DESC LIMIT 100)"
    )
    for (item_id,) in newest.fetchall():
        done, folded = _fold_one(connection, ItemId(item_id))
        found = {
            (table, row)
            for table in _TABLES
            for row in connection.execute(f"SELECT * FROM {table} WHERE item_id = ?", (item_id,))  # noqa: S608
        }
        if found != set(_rows(ItemId(item_id), folded)) or done != folded.done:
            raise WorkspaceError(
                f"the current labels in {show(str(path))} do not match the newest events; "
                "run 'dgaal labels check --mend' to recompute them, no event is lost"
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
        for table, row in _rows(item_id, folded):
            tables[table].add(row)
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
        f"SELECT {_COLUMNS} FROM event WHERE event_id <= ? "  # noqa: S608
        "ORDER BY item_id, event_id",
        (2**62 if watermark is None else watermark,),
    )
    for item_id, facts in groupby((_fact(row) for row in rows), key=attrgetter("item_id")):
        yield item_id, fold(facts, need=need.get(item_id, 1))


def _fact(row: tuple[Any, ...]) -> Fact:
    return Fact(row[0], row[1], ItemId(row[2]), row[3], row[4], row[5], bool(row[6]), row[7])


def _insert(connection: sqlite3.Connection, table: str, row: tuple[Any, ...]) -> None:
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608


def _rows(item_id: ItemId, folded: Folded) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for annotator, fact in folded.answers.items():
        yield "answer", (item_id, annotator, fact.event_id, fact.says, fact.label, fact.round)
    for annotator, fact in folded.flags.items():
        yield "flagged", (item_id, annotator, fact.event_id)
    if folded.verdict is not None:
        yield "verdict", (item_id, folded.verdict.event_id, folded.verdict.label)
