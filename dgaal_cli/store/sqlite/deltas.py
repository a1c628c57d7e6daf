"""Deltas: backups that contain what a store has in addition to the backup before.

A delta file has a line with a SHA-256 of all that follows, a line of JSON (``Header``), and a
compressed SQLite database. That contains the new rows of tables that only grow, the small tables
whole, and the columns of ``item`` that change. What ``projection`` computes is not in it.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.ids import ItemId
from dgaal_cli.store.sqlite import projection, schema
from dgaal_cli.store.sqlite.history import watermark
from dgaal_cli.store.sqlite.pool_changes import GENERATION

SUFFIX = ".delta"

GROWING = (
    "class_event",
    "label",
    "label_class",
    "item",
    "path",
    "image_group",
    "query_entry",
    "shown",
    "event",
    "artifact",
)
"""Tables whose rows are never changed or deleted, except for some columns of ``item``.

Where names or groups of images change, ``GENERATION`` does too, and the next backup is a full
copy."""
WHOLE = ("meta", "class", "query", "unreadable", "lease")
"""Small tables whose rows change."""

Marks = dict[str, tuple[int, str]]
"""The number of the newest row of each table of ``GROWING``, and a digest of that row.

``GENERATION`` has a mark, too, if images got other names or groups."""

_BATCH = 1000
_DIGEST_CHARS = 64
_PART_BYTES = 1 << 20
# One text of changed columns for all images in their order; an image with the defaults has none.
_STATES = """CREATE TABLE delta.item_states AS SELECT group_concat(CASE
    WHEN need = 1 AND fence = 0 AND state = 'ok' THEN '' ELSE need || ' ' || fence || ' ' || state
    END) AS states FROM (SELECT need, fence, state FROM main.item ORDER BY item_id)"""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a delta says about itself and about the backup before."""

    base: str
    """File name of the backup before."""
    base_sha256: str
    """Digest of that file; for a delta, the one in its first line."""
    version: int
    """Version of the schema."""
    events: int
    """Number of events of the store."""
    marks: Marks
    whole: tuple[str, ...] = WHOLE
    """Tables that replace those of the backup before."""


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """A delta file whose digest is right."""

    header: Header
    sha256: str
    path: Path


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The backup that a new delta continues."""

    name: str
    sha256: str
    version: int
    marks: Marks


def read_marks(connection: sqlite3.Connection) -> Marks:
    """Return the marks of a store."""
    marks = {table: _mark(connection, table) for table in GROWING}
    generation = _generation(connection)
    return {**marks, GENERATION: (0, generation)} if generation else marks


def continues(connection: sqlite3.Connection, base: Base) -> bool:
    """Check whether the store contains the rows of a backup, so that a delta can continue it.

    It does not after an older store was restored or copied over this one, or after images of the
    pool got other names or groups.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return (
        version == base.version == schema.latest_version()
        and _generation(connection) == base.marks.get(GENERATION, (0, ""))[1]
        and all(
            _mark(connection, table, newest=base.marks[table][0]) == base.marks[table]
            for table in GROWING
        )
    )


def collect(connection: sqlite3.Connection, base: Base, target: Path) -> None:
    """Write a delta file with what the store has in addition to ``base``.

    The caller holds the store's gate, and no transaction is open.

    Args:
        connection: Connection to the store.
        base: The backup that the delta continues.
        target: New file in a folder of temporary files; a database is written next to it.

    Raises:
        OSError, sqlite3.Error: A file cannot be written.
    """
    rows = target.with_name("rows.db")
    header = msgspec.json.encode(_copy_rows(connection, base, rows)) + b"\n"
    digest = hashlib.sha256(header)
    with rows.open("rb") as source, target.open("xb") as stream:
        stream.write(b"0" * _DIGEST_CHARS + b"\n" + header)
        for part in _compressed(source):
            digest.update(part)
            stream.write(part)
        stream.seek(0)
        stream.write(digest.hexdigest().encode())


def _copy_rows(connection: sqlite3.Connection, base: Base, target: Path) -> Header:
    """Write the new rows to a database: an import has too many for memory."""
    connection.execute("ATTACH ? AS delta", (f"{target.absolute().as_uri()}?mode=rwc",))
    try:
        connection.execute("PRAGMA delta.journal_mode = OFF")  # the file is temporary
        connection.execute("PRAGMA delta.synchronous = OFF")
        connection.execute("BEGIN")
        try:
            for table in WHOLE:
                connection.execute(f"CREATE TABLE delta.{table} AS SELECT * FROM main.{table}")  # noqa: S608
            for table in GROWING:
                connection.execute(
                    f"CREATE TABLE delta.{table} AS SELECT * FROM main.{table} "  # noqa: S608
                    f"WHERE rowid > {base.marks[table][0]:d} ORDER BY rowid"
                )
            connection.execute(_STATES)
            header = Header(
                base=base.name,
                base_sha256=base.sha256,
                version=base.version,
                events=watermark(connection),
                marks=read_marks(connection),
            )
            connection.execute("COMMIT")
        except BaseException:  # also Ctrl-C: the store stays open and must not stay locked
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    finally:
        connection.execute("DETACH delta")
    return header


def _compressed(source: BinaryIO) -> Iterator[bytes]:
    compressor = zlib.compressobj()
    while part := source.read(_PART_BYTES):
        yield compressor.compress(part)
    yield compressor.flush()


def read(path: Path) -> Delta:
    """Read what a delta file says about itself, and check its digest.

    Raises:
        WorkspaceError: The file is missing, damaged or not a delta.
    """
    try:
        with path.open("rb") as stream:
            digest = stream.read(_DIGEST_CHARS)
            found = hashlib.sha256()
            header = b""
            if stream.read(1) == b"\n":
                header = stream.readline()
                found.update(header)
                while part := stream.read(_PART_BYTES):
                    found.update(part)
        if found.hexdigest().encode() != digest:
            raise _damage(path)
        return Delta(
            header=msgspec.json.decode(header, type=Header), sha256=digest.decode(), path=path
        )
    except (OSError, msgspec.MsgspecError) as error:
        raise _unreadable(path, error) from error


def _rows(delta: Delta) -> bytes:
    """Return the database of a delta; the bytes that are used are those that are checked.

    Raises:
        WorkspaceError: The file is missing, or it was changed since it was read.
    """
    try:
        content = delta.path.read_bytes()[_DIGEST_CHARS + 1 :]
    except OSError as error:
        raise _unreadable(delta.path, error) from error
    if hashlib.sha256(content).hexdigest() != delta.sha256:
        raise _damage(delta.path)
    return zlib.decompress(content.partition(b"\n")[2])


def _unreadable(path: Path, error: Exception) -> WorkspaceError:
    return WorkspaceError(f"{path} cannot be read as a backup of dgaal: {error}")


def _damage(path: Path) -> WorkspaceError:
    return WorkspaceError(f"{path} is damaged or not a backup of dgaal")


def apply(connection: sqlite3.Connection, deltas: Iterable[Delta]) -> None:
    """Add deltas to a copy of the store that the first one continues, and migrate the result.

    Args:
        connection: Connection without foreign keys and without an open transaction.
        deltas: Oldest first.

    Raises:
        WorkspaceError: The result is not what the last delta says.
    """
    before = watermark(connection)
    header: Header | None = None
    states = ""
    for delta in deltas:
        header, states = delta.header, _add(connection, delta)
    if header is None:
        return
    if read_marks(connection) != header.marks or watermark(connection) != header.events:
        raise WorkspaceError("the deltas do not fit their full copy")
    connection.execute("BEGIN")
    changed = _set_states(connection, states)
    schema.migrate(connection, version=header.version)
    newer = connection.execute("SELECT item_id FROM event WHERE event_id > ?", (before,))
    changed.update(ItemId(item_id) for (item_id,) in newer.fetchall())
    chosen = sorted(changed)
    for start in range(0, len(chosen), _BATCH):
        projection.refresh(connection, chosen[start : start + _BATCH])
    connection.execute("COMMIT")


def _generation(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (GENERATION,)).fetchone()
    return "" if row is None else str(row[0])


def _mark(
    connection: sqlite3.Connection, table: str, *, newest: int = 2**63 - 1
) -> tuple[int, str]:
    columns = "sha256" if table == "item" else "*"
    row = connection.execute(
        f"SELECT rowid, {columns} FROM {table} WHERE rowid <= ? ORDER BY rowid DESC LIMIT 1",  # noqa: S608
        (newest,),
    ).fetchone()
    return (0, "") if row is None else (row[0], hashlib.sha256(repr(row).encode()).hexdigest())


def _add(connection: sqlite3.Connection, delta: Delta) -> str:
    """Add the rows of a delta and return the changed columns of its images."""
    connection.execute("ATTACH ':memory:' AS delta")
    connection.deserialize(_rows(delta), name="delta")
    tables = connection.execute("SELECT name FROM delta.sqlite_schema WHERE type = 'table'")
    for table in {name for (name,) in tables.fetchall()} - {"item_states"}:
        if table in delta.header.whole:
            connection.execute(f"DELETE FROM main.{table}")  # noqa: S608
        connection.execute(
            f"INSERT INTO main.{table} SELECT * FROM delta.{table} ORDER BY rowid"  # noqa: S608
        )
    states = connection.execute("SELECT states FROM delta.item_states").fetchone()[0]
    connection.execute("DETACH delta")
    return str(states or "")


def _set_states(connection: sqlite3.Connection, states: str) -> set[ItemId]:
    """Set the changed columns of all images; return those with another ``need``."""
    found = connection.execute("SELECT item_id, need, fence, state FROM item ORDER BY item_id")
    changed: set[ItemId] = set()
    for (item_id, *old), text in zip(found.fetchall(), states.split(","), strict=False):
        need, fence, state = text.split(" ") if text else (1, 0, "ok")
        new = [int(need), int(fence), state]
        if new != old:
            connection.execute(
                "UPDATE item SET need = ?, fence = ?, state = ? WHERE item_id = ?", (*new, item_id)
            )
            if new[0] != old[0]:
                changed.add(ItemId(item_id))
    return changed
