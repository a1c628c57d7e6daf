"""No SQL statement changes or deletes recorded events."""

import sqlite3

import pytest


def test_no_statement_changes_or_deletes_events(asked, path):
    asked.submit("sam", "label", 3, asked.cat)
    asked.store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA recursive_triggers = ON")
    for statement in (
        "UPDATE event SET annotator = 'eve'",
        "DELETE FROM event",
        "INSERT OR REPLACE INTO event SELECT * FROM event",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()


def test_class_events_record_every_change_and_cannot_be_deleted(store, path):
    cat = store.add_class("cat")
    store.rename_class(cat.uid, "lion")
    store.retire_class(cat.uid)
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT kind, name, key FROM class_event").fetchall()
    assert rows == [
        ("add", "cat", ""),
        ("rename", "lion", ""),
        ("retire", "lion", ""),
    ]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM class_event")
    connection.close()
