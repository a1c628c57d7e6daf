"""Rows of labels: each distinct payload once, with the classes that it names."""

import json
import sqlite3
from collections.abc import Iterable
from functools import lru_cache

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Label

COLUMNS = (
    "l.payload, l.version, "
    "(SELECT group_concat(n.class_uid, ' ') FROM label_class n WHERE n.label_id = l.label_id)"
)
"""Columns for ``read``; the query joins the table ``label`` as ``l``."""
WIDTH = 3
"""Number of columns in ``COLUMNS``."""


@lru_cache(maxsize=128)  # few labels of classification differ
def read(payload: bytes | None, version: int, classes: str | None) -> Label | None:
    """Build a label from ``COLUMNS``; None without a joined row."""
    if payload is None:
        return None
    uids = tuple(ClassUid(uid) for uid in sorted((classes or "").split()))
    return Label(payload=bytes(payload), version=version, classes=uids)


def by_id(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int | None, Label | None]:
    """Return the labels of some rows by their ids."""
    rows = connection.execute(
        f"SELECT l.label_id, {COLUMNS} FROM label l "  # noqa: S608 - constants
        "WHERE l.label_id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(ids)),),
    )
    return {label_id: read(*row) for label_id, *row in rows}


def identify(connection: sqlite3.Connection, label: Label | None) -> int | None:
    """Return the id of a label's row; insert the row if it does not exist.

    Raises:
        UsageError: The label names an unknown class, or other classes than an equal payload.
    """
    if label is None:
        return None
    row = connection.execute(
        f"SELECT l.label_id, {COLUMNS} FROM label l "  # noqa: S608 - constants
        "WHERE l.payload = ? AND l.version = ?",
        (label.payload, label.version),
    ).fetchone()
    if row is not None:
        if read(*row[1:]) != label:
            raise UsageError("a label names other classes than an equal label in this workspace")
        return int(row[0])
    number = connection.execute(
        "INSERT INTO label(payload, version) VALUES (?, ?) RETURNING label_id",
        (label.payload, label.version),
    ).fetchall()[0][0]
    try:
        connection.executemany(
            "INSERT INTO label_class VALUES (?, ?)", ((number, uid) for uid in label.classes)
        )
    except sqlite3.IntegrityError as error:
        raise UsageError("a label names an unknown class") from error
    return int(number)
