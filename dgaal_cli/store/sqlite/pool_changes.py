"""Changes of the pool in the store: new images, and names that show other images now."""

import secrets
import sys
from collections import Counter
from collections.abc import Iterator

from dgaal_cli.store.records import AddedItems, NewItem, PoolChange, PoolFile
from dgaal_cli.store.sqlite import groups
from dgaal_cli.store.sqlite.connection import Connection
from dgaal_cli.store.sqlite.items import encode_path

GENERATION = "pool_generation"
"""Key in ``meta``: a new text whenever images get other names or groups; see ``deltas``."""


def files(connection: Connection) -> list[PoolFile]:
    """Return each name of each pool image; see ``Images.pool_files``."""
    rows = connection.execute(
        "SELECT p.path, p.item_id, i.sha256, i.state, i.sample = p.path FROM path p "
        "JOIN item i USING(item_id) WHERE NOT i.is_synthetic ORDER BY p.rowid"
    )
    # As in ``items.decode_path``, in a third of the time.
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    return [
        PoolFile(path.decode(encoding, errors), item_id, sha256, state, bool(first))
        for path, item_id, sha256, state, first in rows
    ]


def apply(connection: Connection, change: PoolChange) -> AddedItems:
    """Apply a change in the caller's transaction; see ``Images.change_pool``."""
    is_renamed = bool(change.names or change.firsts)
    is_regrouped = groups.change(connection, change.groups)
    if is_renamed or is_regrouped or _takes_names(connection, change):
        connection.execute(
            "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
            (GENERATION, secrets.token_hex(8)),
        )
    # Names are unique, and images may exchange theirs: free all before any is taken.
    connection.executemany(
        "UPDATE item SET sample = ? WHERE item_id = ?",
        ((b"\0moved\0%d" % item_id, item_id) for item_id in change.firsts),
    )
    firsts = [(encode_path(name), item_id) for item_id, name in change.firsts.items()]
    connection.executemany("UPDATE item SET sample = ? WHERE item_id = ?", firsts)
    names = [(encode_path(name), item_id) for name, item_id in change.names]
    connection.executemany(
        "INSERT INTO path VALUES (?, ?) ON CONFLICT(path) DO UPDATE SET item_id = excluded.item_id",
        names,
    )
    connection.executemany(
        "UPDATE item SET state = ? WHERE item_id = ?",
        ((state, item_id) for item_id, state in change.states.items()),
    )
    connection.executemany(
        "INSERT INTO unreadable VALUES (?, ?) ON CONFLICT(path) DO UPDATE SET reason = ?2",
        ((encode_path(name), reason) for name, reason in change.unreadable),
    )
    connection.executemany(
        "DELETE FROM unreadable WHERE path = ?", ((encode_path(name),) for name in change.readable)
    )
    return AddedItems(**Counter(_add(connection, change)))


def _takes_names(connection: Connection, change: PoolChange) -> bool:
    taken = "SELECT 1 FROM path WHERE path = ?"
    return any(
        connection.execute(taken, (encode_path(item.sample_id),)).fetchone() for item in change.new
    )


def _add(connection: Connection, change: PoolChange) -> Iterator[str]:
    for item in change.new:
        yield _add_one(connection, item)


def _add_one(connection: Connection, item: NewItem) -> str:
    path = encode_path(item.sample_id)
    known = connection.execute(
        "SELECT item_id FROM item WHERE sha256 = ?", (item.sha256,)
    ).fetchone()
    number = None if known is None else known[0]
    if number is None:
        number = connection.execute(
            "INSERT INTO item(sha256, sample, bytes, w, h) VALUES (?, ?, ?, ?, ?) "
            "RETURNING item_id",
            (item.sha256, path, item.size_bytes, item.width, item.height),
        ).fetchone()[0]
    connection.execute(
        "INSERT INTO path VALUES (?1, ?2) ON CONFLICT(path) DO UPDATE SET item_id = ?2",
        (path, number),
    )
    groups.add(connection, [(number, item.group)])
    return "new" if known is None else "duplicates"
