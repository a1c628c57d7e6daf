"""A SQLite store with many imported answers, made without the importer, and what a read costs."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dgaal_cli.ids import ItemId
from dgaal_cli.store.open import store_location
from dgaal_cli.store.records import Query, QueryEntry
from dgaal_cli.store.sqlite import projection

if TYPE_CHECKING:
    from dgaal_cli.store.sqlite.store import SqliteStore

_ITEM = "INSERT INTO item(item_id, sha256, sample, bytes, w, h) VALUES (?, ?, ?, 800, 28, 28)"
_EVENT = """INSERT INTO event(event_id, op_id, kind, says, item_id, annotator, label_id, note,
    item_sha, body_sha, counted, provenance, round, elapsed_ms, at_us, app, session)
    VALUES (?, ?, ?, 'label', ?, ?, ?, '', x'', x'', 1, ?, ?, ?, ?, '0', 's')"""


def make_store(path: Path, *, items: int, people: int = 2, asked: int = 10) -> None:
    """Make a store in which each person but sam labeled every item, and sam half of them.

    The rest of the items has no answer of sam; the first ``asked`` of them are in an open query,
    in whose round sam's answers are.
    """
    names = ["sam", *(f"person {number}" for number in range(1, people))]
    half = items // 2
    given = [
        (n, who, item) for n, who in enumerate(names) for item in range(half if n == 0 else items)
    ]
    with store_location(path).create() as store:
        uids = [store.add_class(name).uid for name in "abc"]
        entries = tuple(QueryEntry(item_id=ItemId(half + n + 1), rank=n + 1) for n in range(asked))
        database = cast("SqliteStore", store).database
        with database.write() as connection:
            connection.executemany(
                _ITEM,
                (
                    (n + 1, hashlib.sha256(b"%d" % n).digest(), b"%03d/%07d.png" % (n % 200, n))
                    for n in range(items)
                ),
            )
            connection.execute("INSERT INTO path SELECT sample, item_id FROM item")
            for number, uid in enumerate(uids, start=1):
                connection.execute("INSERT INTO label VALUES (?, ?, 1)", (number, uid.encode()))
                connection.execute("INSERT INTO label_class VALUES (?, ?)", (number, uid))
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
        with database.write() as connection:
            connection.executemany(
                _EVENT,
                (
                    (
                        number,
                        f"{number:032x}",
                        "import" if n else "label",
                        item + 1,
                        who,
                        1 + (item + n * (item % 7 == 0)) % 3,
                        "imported" if n else "human",
                        None if n else 0,
                        None if item % 3 else 500 + item % 97,
                        1_700_000_000_000_000 + number,
                    )
                    for number, (n, who, item) in enumerate(given, start=1)
                ),
            )
            projection.rebuild(connection)


def bytes_read(action: Callable[[], object]) -> int:
    """Return how many bytes this process reads from files during an action."""
    before = _read_so_far()
    action()
    return _read_so_far() - before


def _read_so_far() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])
