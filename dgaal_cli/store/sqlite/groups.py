"""Groups of images: what must stay on one side of a split, such as the images of a patient."""

import os
import sqlite3
from collections.abc import Iterable, Mapping

from dgaal_cli.ids import ItemId


def every(connection: sqlite3.Connection) -> dict[ItemId, str]:
    """Return the group of each image that has one; see ``Images.groups``."""
    rows = connection.execute("SELECT item_id, name FROM image_group ORDER BY item_id")
    return {ItemId(item_id): os.fsdecode(name) for item_id, name in rows}


def add(connection: sqlite3.Connection, given: Iterable[tuple[int, str]]) -> None:
    """Set the groups of images that have none; an empty name sets none."""
    connection.executemany(
        "INSERT INTO image_group VALUES (?, ?) ON CONFLICT(item_id) DO NOTHING",
        ((item_id, os.fsencode(name)) for item_id, name in given if name),
    )


def change(connection: sqlite3.Connection, given: Mapping[ItemId, str]) -> bool:
    """Set the groups of images; return whether an image had another group."""
    add(connection, given.items())
    changed = connection.executemany(
        "UPDATE image_group SET name = ?1 WHERE item_id = ?2 AND name <> ?1",
        ((os.fsencode(name), item_id) for item_id, name in given.items()),
    )
    return changed.rowcount > 0
