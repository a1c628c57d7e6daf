"""Images in the store: an item is identified by its content, not by its path."""

import contextlib
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.records import (
    AddedItems,
    ItemKey,
    ItemRecord,
    ItemState,
    NewItem,
    NewSynthetic,
)
from dgaal_cli.store.sqlite import groups, label_rows

COLUMNS = (
    "i.item_id, i.sample, i.sha256, i.is_synthetic, i.parent, i.round, i.state, "
    + label_rows.COLUMNS
)
WIDTH = 10
"""Number of columns in ``COLUMNS``."""
TABLES = "item i LEFT JOIN label l ON l.label_id = i.inherited"
"""Tables of ``COLUMNS``."""


_MAX_PLACES = 1000
_FILE_NAMES = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
"""How ``os.fsdecode`` decodes, in four times the time."""


def encode_path(sample_id: SampleId) -> bytes:
    """Return the stored bytes of a sample id; file names that are not text are kept exactly.

    Raises:
        UsageError: The text has surrogates that do not encode a byte.
    """
    try:
        return os.fsencode(sample_id)
    except UnicodeEncodeError:
        raise UsageError(f"sample id {sample_id} is not a valid file name") from None


def decode_path(path: bytes) -> SampleId:
    """Reverse ``encode_path``."""
    return SampleId(path.decode(*_FILE_NAMES))


def record(row: Sequence[Any]) -> ItemRecord:
    """Build a record from a row of ``COLUMNS``."""
    return ItemRecord(
        item_id=ItemId(row[0]),
        sample_id=decode_path(row[1]),
        sha256=bytes(row[2]),
        is_synthetic=bool(row[3]),
        parent=None if row[4] is None else ItemId(row[4]),
        round=row[5],
        inherited=label_rows.read(*row[7:10]),
        state=cast("ItemState", row[6]),
    )


def one(connection: sqlite3.Connection, item_id: ItemId) -> ItemRecord:
    """Return an item."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM {TABLES} WHERE i.item_id = ?",  # noqa: S608 - a constant
        (item_id,),
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no image number {item_id:d} in this workspace")
    return record(row)


def id_of_sample(connection: sqlite3.Connection, sample_id: SampleId) -> ItemId | None:
    """Return the number of the item at a path, or None."""
    row = connection.execute(
        "SELECT item_id FROM path WHERE path = ?", (encode_path(sample_id),)
    ).fetchone()
    return None if row is None else ItemId(row[0])


def of_sample(connection: sqlite3.Connection, sample_id: SampleId) -> ItemRecord | None:
    """Return the item at a path, or None."""
    item_id = id_of_sample(connection, sample_id)
    return None if item_id is None else one(connection, item_id)


def of_samples(
    connection: sqlite3.Connection, sample_ids: Iterable[SampleId]
) -> dict[SampleId, ItemKey]:
    """Return the items at some paths; paths without an item are left out."""
    paths: dict[bytes, SampleId] = {}
    for sample_id in sample_ids:
        with contextlib.suppress(UsageError):  # not a valid file name
            paths[encode_path(sample_id)] = sample_id
    found: dict[SampleId, ItemKey] = {}
    for start in range(0, len(paths), _MAX_PLACES):
        chosen = list(paths)[start : start + _MAX_PLACES]
        rows = connection.execute(
            "SELECT p.path, i.item_id, i.sample, i.sha256 FROM path p JOIN item i "  # noqa: S608
            f"USING(item_id) WHERE p.path IN ({', '.join('?' * len(chosen))})",
            chosen,
        )
        for path, item_id, first, sha256 in rows:
            sample_id = paths[path]
            found[sample_id] = ItemKey(
                ItemId(item_id), sample_id if first == path else decode_path(first), sha256
            )
    return found


def paths(connection: sqlite3.Connection) -> list[SampleId]:
    """Return the paths of all pool images."""
    rows = connection.execute(
        "SELECT p.path FROM path p JOIN item i USING(item_id) WHERE NOT i.is_synthetic"
    )
    return [decode_path(path) for (path,) in rows]


def every(connection: sqlite3.Connection) -> list[ItemRecord]:
    """Return all items, first seen first."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM {TABLES} ORDER BY i.item_id"  # noqa: S608
    )
    return [record(row) for row in rows]


def unanswered(connection: sqlite3.Connection, *, after: int = 0) -> list[ItemId]:
    """Return the pool images in state ``ok`` without a verdict, by number."""
    rows = connection.execute(
        "SELECT item_id FROM item WHERE item_id > ? AND state = 'ok' AND NOT is_synthetic "
        "AND item_id NOT IN (SELECT item_id FROM verdict) ORDER BY item_id",
        (after,),
    )
    return [ItemId(item_id) for (item_id,) in rows]


def sizes(connection: sqlite3.Connection) -> dict[ItemId, tuple[int, int]]:
    """Return width and height of each item."""
    rows = connection.execute("SELECT item_id, w, h FROM item")
    return {ItemId(item_id): (width, height) for item_id, width, height in rows}


def usable(connection: sqlite3.Connection, count: int) -> tuple[int, list[ItemRecord]]:
    """Return the number of usable pool images, and some of them; see ``Store.usable``."""
    is_usable = "i.state = 'ok' AND NOT i.is_synthetic"
    total = connection.execute(f"SELECT count(*) FROM item i WHERE {is_usable}").fetchone()[0]  # noqa: S608
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM {TABLES} WHERE {is_usable} "  # noqa: S608
        "AND i.item_id > (SELECT max(item_id) FROM item) / 2 ORDER BY i.item_id LIMIT ?",
        (count,),
    )
    return total, [record(row) for row in rows]


def flagged(connection: sqlite3.Connection) -> list[ItemRecord]:
    """Return the flagged items, by number."""
    rows = connection.execute("SELECT DISTINCT item_id FROM flagged ORDER BY item_id")
    return [one(connection, ItemId(item_id)) for (item_id,) in rows.fetchall()]


def add(connection: sqlite3.Connection, new: Iterable[NewItem]) -> AddedItems:
    """Add pool images; images with equal bytes share one item."""
    if connection.execute("SELECT 1 FROM item").fetchone() is None:
        return _add_first(connection, new)
    return AddedItems(**Counter(_add_one(connection, item) for item in new))


def add_synthetic(connection: sqlite3.Connection, new: Iterable[NewSynthetic]) -> list[ItemId]:
    """Add synthetic images; ``UsageError`` if the path or the bytes are in the store already."""
    made: list[ItemId] = []
    for item in new:
        path = encode_path(item.sample_id)
        taken = connection.execute(
            "SELECT sample FROM item WHERE sha256 = ? UNION SELECT path FROM path WHERE path = ?",
            (item.sha256, path),
        ).fetchone()
        if taken is not None:
            raise UsageError(
                f"synthetic image {item.sample_id} is in the store already as {taken[0]}"
            )
        cursor = connection.execute(
            "INSERT INTO item(sha256, sample, bytes, w, h, is_synthetic, parent, round, inherited, "
            "state) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?)",
            (
                item.sha256,
                path,
                item.size_bytes,
                item.width,
                item.height,
                item.parent,
                item.round,
                label_rows.identify(connection, item.inherited),
                "quarantined" if item.is_quarantined else "ok",
            ),
        )
        connection.execute("INSERT INTO path VALUES (?, ?)", (path, cursor.lastrowid))
        made.append(ItemId(cursor.lastrowid or 0))
    return made


def set_states(connection: sqlite3.Connection, states: Mapping[ItemId, ItemState]) -> None:
    """Record which images went missing, changed, or came back."""
    for item_id, state in states.items():
        one(connection, item_id)
        connection.execute("UPDATE item SET state = ? WHERE item_id = ?", (state, item_id))
        if state == "ok":
            connection.execute(
                "DELETE FROM unreadable WHERE path = (SELECT sample FROM item WHERE item_id = ?)",
                (item_id,),
            )


def mark_unreadable(connection: sqlite3.Connection, files: Iterable[tuple[SampleId, str]]) -> None:
    """Set files aside; the item of one too if no other path shows the same content."""
    for sample_id, reason in files:
        path = encode_path(sample_id)
        connection.execute(
            "INSERT INTO unreadable VALUES (?, ?) ON CONFLICT(path) DO UPDATE SET reason = ?2",
            (path, reason),
        )
        connection.execute(
            "UPDATE item SET state = 'quarantined' WHERE state = 'ok' "
            "AND item_id = (SELECT item_id FROM path WHERE path = ?1) "
            "AND NOT EXISTS (SELECT 1 FROM path p WHERE p.item_id = item.item_id "
            "AND p.path NOT IN (SELECT path FROM unreadable))",
            (path,),
        )


def replaced(connection: sqlite3.Connection) -> list[tuple[SampleId, ItemState]]:
    """Return images that are missing or changed, by name."""
    rows = connection.execute(
        # The plus keeps SQLite from reading all images by name to find these few.
        "SELECT sample, state FROM item WHERE state IN ('missing', 'changed') ORDER BY +sample"
    )
    return [(decode_path(path), state) for path, state in rows]


def quarantined(connection: sqlite3.Connection) -> list[tuple[SampleId, str]]:
    """Return unreadable files with the reason, by name."""
    rows = connection.execute("SELECT path, reason FROM unreadable ORDER BY path")
    return [(decode_path(path), reason) for path, reason in rows]


def _add_first(connection: sqlite3.Connection, new: Iterable[NewItem]) -> AddedItems:
    """Add the first images of a store, in a fifth of the time of ``_add_one``."""
    ids: dict[bytes, int] = {}
    paths: dict[bytes, int] = {}
    group_of: dict[int, str] = {}
    twice: list[NewItem] = []

    def rows() -> Iterator[tuple[int, bytes, bytes, int, int, int]]:
        for item in new:
            path, digest = encode_path(item.sample_id), item.sha256
            if path in paths:
                twice.append(item)
                continue
            known = ids.get(digest)
            paths[path] = ids.setdefault(digest, len(ids) + 1)
            if item.group:
                group_of.setdefault(ids[digest], item.group)
            if known is None:
                yield ids[digest], digest, path, item.size_bytes, item.width, item.height

    connection.executemany(
        "INSERT INTO item(item_id, sha256, sample, bytes, w, h) VALUES (?, ?, ?, ?, ?, ?)", rows()
    )
    connection.executemany("INSERT INTO path VALUES (?, ?)", paths.items())
    groups.add(connection, group_of.items())
    connection.execute("DELETE FROM unreadable WHERE path IN (SELECT path FROM path)")
    added = Counter(_add_one(connection, item) for item in twice)
    added.update(new=len(ids), duplicates=len(paths) - len(ids))
    return AddedItems(**added)


def _add_one(connection: sqlite3.Connection, item: NewItem) -> str:
    path = encode_path(item.sample_id)
    connection.execute("DELETE FROM unreadable WHERE path = ?", (path,))
    seen = connection.execute(
        "SELECT i.item_id, i.sha256 FROM path p JOIN item i USING(item_id) WHERE p.path = ?",
        (path,),
    ).fetchone()
    if seen is not None and bytes(seen[1]) == item.sha256:
        connection.execute(
            "UPDATE item SET state = 'ok' WHERE item_id = ? AND state <> 'ok'", (seen[0],)
        )
        return "known"
    if seen is not None:  # the labels belong to the old bytes and must not move to the new ones
        connection.execute("UPDATE item SET state = 'changed' WHERE item_id = ?", (seen[0],))
        return "changed"
    same = connection.execute(
        "SELECT item_id FROM item WHERE sha256 = ?", (item.sha256,)
    ).fetchone()
    if same is None:
        cursor = connection.execute(
            "INSERT INTO item(sha256, sample, bytes, w, h) VALUES (?, ?, ?, ?, ?)",
            (item.sha256, path, item.size_bytes, item.width, item.height),
        )
        connection.execute("INSERT INTO path VALUES (?, ?)", (path, cursor.lastrowid))
        groups.add(connection, [(cursor.lastrowid or 0, item.group)])
        return "new"
    connection.execute("INSERT INTO path VALUES (?, ?)", (path, same[0]))
    groups.add(connection, [(same[0], item.group)])
    return "duplicates"
