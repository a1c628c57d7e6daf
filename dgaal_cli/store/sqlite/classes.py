"""The class list: stable uids and a recorded history."""

import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.classes import clean_name, folded
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.store.sqlite.connection import Connection


def active(connection: sqlite3.Connection) -> list[ClassRecord]:
    """Return the classes in use, by position."""
    rows = connection.execute(
        "SELECT class_uid, name, key, position FROM class WHERE retired_us IS NULL "
        "ORDER BY position, class_uid"
    )
    return [
        ClassRecord(uid=ClassUid(uid), name=name, key=key, position=position)
        for uid, name, key, position in rows
    ]


def names(connection: sqlite3.Connection) -> dict[ClassUid, str]:
    """Return the current name of each class, retired classes included."""
    rows = connection.execute("SELECT class_uid, name FROM class")
    return {ClassUid(uid): name for uid, name in rows}


def is_active(connection: sqlite3.Connection, uid: ClassUid) -> bool:
    """Check whether a class is in use."""
    row = connection.execute(
        "SELECT 1 FROM class WHERE class_uid = ? AND retired_us IS NULL", (uid,)
    ).fetchone()
    return row is not None


def add(
    connection: Connection, name: str, key: str = "", *, uid: ClassUid | None = None
) -> ClassRecord:
    """Append a class; names are compared without case and joiners."""
    return _append(connection, [(uid or ClassUid(secrets.token_hex(8)), name, key)])[0]


def add_many(connection: Connection, names: Iterable[str]) -> list[ClassRecord]:
    """Append classes without keys."""
    return _append(connection, ((ClassUid(secrets.token_hex(8)), name, "") for name in names))


def add_known(connection: Connection, records: Iterable[ClassRecord]) -> None:
    """Append classes that have uids already, such as those of an import."""
    _append(connection, ((record.uid, record.name, record.key) for record in records))


def _append(
    connection: Connection, classes: Iterable[tuple[ClassUid, str, str]]
) -> list[ClassRecord]:
    """Append classes (uid, name, key) in the time that their number takes, not its square."""
    known = active(connection)
    taken = {folded(record.name): record.name for record in known}
    start, first = len(known), known[-1].position + 1 if known else 0
    for position, (uid, name, key) in enumerate(classes, start=first):
        clean = _free_name(taken, name)
        taken[folded(clean)] = clean
        known.append(ClassRecord(uid=uid, name=clean, key=_free_key(known, key), position=position))
    for record in known[start:]:
        _insert(connection, record)
    return known[start:]


def rename(connection: Connection, uid: ClassUid, name: str) -> ClassRecord:
    """Change the name of a class; its labels stay."""
    old = _one(connection, uid)
    others = (record for record in active(connection) if record.uid != uid)
    new = replace(old, name=_free_name({folded(each.name): each.name for each in others}, name))
    connection.execute("UPDATE class SET name = ? WHERE class_uid = ?", (new.name, uid))
    _log(connection, "rename", new)
    return new


def reorder(connection: Connection, uids: Sequence[ClassUid]) -> list[ClassRecord]:
    """Set the order of the classes."""
    known = {record.uid: record for record in active(connection)}
    if len(uids) != len(known) or set(uids) != set(known):
        raise UsageError("a new order must name every class once")
    for position, uid in enumerate(uids):
        if known[uid].position != position:
            connection.execute("UPDATE class SET position = ? WHERE class_uid = ?", (position, uid))
            _log(connection, "reorder", replace(known[uid], position=position))
    return active(connection)


def retire(connection: Connection, uid: ClassUid) -> None:
    """Remove a class from the list."""
    record = _one(connection, uid)
    labeled = connection.execute(
        "SELECT count(*) FROM answer JOIN label_class USING(label_id) WHERE class_uid = ?", (uid,)
    ).fetchone()[0]
    if labeled:
        raise UsageError(
            f"class {record.name} cannot be removed: {labeled} answers name it; "
            "relabel those images first, or rename the class"
        )
    connection.execute(
        "UPDATE class SET retired_us = ? WHERE class_uid = ?", (connection.now_us(), uid)
    )
    _log(connection, "retire", record)


def reinstate(connection: Connection, uid: ClassUid) -> ClassRecord:
    """Append a removed class to the list again, without its key."""
    row = connection.execute(
        "SELECT name FROM class WHERE class_uid = ? AND retired_us IS NOT NULL", (uid,)
    ).fetchone()
    if row is None:
        raise UsageError(f"no class with the uid {uid} was removed")
    known = active(connection)
    record = ClassRecord(
        uid=uid,
        name=_free_name({folded(each.name): each.name for each in known}, row[0]),
        key="",
        position=known[-1].position + 1 if known else 0,
    )
    connection.execute(
        "UPDATE class SET retired_us = NULL, key = '', position = ? WHERE class_uid = ?",
        (record.position, uid),
    )
    _log(connection, "add", record)
    return record


def _one(connection: sqlite3.Connection, uid: ClassUid) -> ClassRecord:
    for record in active(connection):
        if record.uid == uid:
            return record
    raise UsageError(f"there is no class with the uid {uid}")


def _insert(connection: Connection, record: ClassRecord) -> None:
    connection.execute(
        "INSERT INTO class VALUES (?, ?, ?, ?, NULL)",
        (record.uid, record.name, record.key, record.position),
    )
    _log(connection, "add", record)


def _free_name(others: Mapping[str, str], name: str) -> str:
    """Return the cleaned name; ``others`` are the names of other classes by ``folded``."""
    clean = clean_name(name)
    if other := others.get(folded(clean)):
        raise UsageError(f"class {clean} exists already as {other}")
    return clean


def _free_key(others: Sequence[ClassRecord], key: str) -> str:
    if len(key) > 16 or not key.isprintable() or show(key) != key:
        raise UsageError(f"{key[:16]} cannot be the key of a class")
    for other in others if key else ():
        if other.key == key:
            raise UsageError(f"key {key} belongs to class {other.name} already")
    return key


def _log(connection: Connection, kind: str, record: ClassRecord) -> None:
    connection.execute(
        "INSERT INTO class_event(kind, class_uid, name, key, position, at_us) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (kind, record.uid, record.name, record.key, record.position, connection.now_us()),
    )
