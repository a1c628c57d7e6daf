"""No statement changes or deletes what was recorded."""

import sqlite3

import pytest


def test_history_cannot_be_changed_or_deleted_by_any_statement(asked, path):
    asked.say("sam", "label", 3, asked.cat)
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


def test_every_change_of_the_class_list_is_recorded_for_good(store, path):
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
