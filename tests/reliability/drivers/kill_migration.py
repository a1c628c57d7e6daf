"""Kill the migration of a store at random moments.

The released migrations run, or a planted one if the store has the latest version.

Arguments: seed, folder, SQL of a released store, kills, variant. The variant ``piecewise`` migrates
outside a transaction: the negative control.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite import schema
from dgaal_cli.store.sqlite.connection import Connection, Database

PLANTED = (
    "ALTER TABLE item ADD COLUMN weight REAL NOT NULL DEFAULT 1.0",
    "UPDATE item SET weight = 0.5 WHERE is_synthetic",
    "CREATE TABLE remark(item_id INTEGER NOT NULL REFERENCES item, text TEXT NOT NULL) STRICT",
    "INSERT INTO remark SELECT item_id, note FROM event",
    "CREATE INDEX remark_item ON remark(item_id)",
    "CREATE INDEX event_app ON event(app, at_us)",
)
EVENT = """event_id, op_id, kind, says, item_id, annotator, note, refers_to, cancels, shown_id,
    lease_fence, item_sha, body_sha, counted, provenance, round, elapsed_ms, at_us, made_us, app,
    session"""
NAMED = "(SELECT max(class_uid) FROM label_class n WHERE n.label_id = t.label_id)"
PADDING = 3000


def make(path: Path, sql: str) -> None:
    """Build the released store, with enough images for a migration that takes some time."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
        connection.executemany(
            "INSERT INTO item(sha256, sample, bytes, w, h) VALUES (?, ?, 1, 8, 8)",
            ((b"%032d" % n, b"pad%d" % n) for n in range(PADDING)),
        )
        connection.commit()


def state(path: Path) -> tuple[Any, ...]:
    """Return version, schema objects and labels, read without dgaal."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        objects = schema.objects(connection)
        tables = {name: sql for kind, name, sql in objects if kind == "table"}
        rows = [
            connection.execute(
                f"SELECT {columns}, {NAMED if 'label_id' in tables[table] else 'class_uid'} "
                f"FROM {table} t ORDER BY 1"
            ).fetchall()
            for table, columns in (("verdict", "item_id, event_id"), ("event", EVENT))
            if table in tables  # a piecewise migration may not have created it yet
        ]
        return version, objects, *rows


write = Database.write


@contextlib.contextmanager
def piecewise(self: Database) -> Generator[Connection]:
    """Commit after every statement."""
    with write(self) as connection:
        connection.execute("COMMIT")
        yield connection
        connection.execute("BEGIN IMMEDIATE")  # ``write`` ends a transaction


def upgrade(path: Path) -> float:
    """Open the store in a fork; return the seconds that it took, 0 if it failed."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            open_store(path).close()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return time.perf_counter() - began if status == 0 else 0.0


def kill_once(path: Path, after_s: float) -> None:
    """Open the store in a fork and kill it after ``after_s`` seconds."""
    child = os.fork()
    if child == 0:
        try:
            open_store(path).close()
        finally:
            os._exit(0)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main() -> None:
    """Run the migrations and print how the kills left the store."""
    seed, folder, kills = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4])
    sql = Path(sys.argv[3]).read_text()
    pristine = folder / "pristine.db"
    make(pristine, sql)
    old = state(pristine)
    if old[0] == schema.latest_version():  # no later version is released yet
        schema.MIGRATIONS = (*schema.MIGRATIONS, PLANTED)
    if sys.argv[5] == "piecewise":
        Database.write = piecewise
    rng = random.Random(seed)
    path = folder / "w" / "labels.db"
    path.parent.mkdir()
    shutil.copyfile(pristine, path)
    seconds = upgrade(path)
    new = state(path)
    found = {"old": 0, "new": 0, "neither": 0, "stuck": 0}
    for _ in range(kills):
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        shutil.copyfile(pristine, path)
        kill_once(path, rng.random() * 1.3 * seconds)
        left = state(path)
        found["old" if left == old else "new" if left == new else "neither"] += 1
        found["stuck"] += upgrade(path) == 0.0 or state(path) != new
    sys.stdout.write(
        json.dumps({**found, "versions": [old[0], new[0]], "is_same": new[2:] == old[2:]})
    )


if __name__ == "__main__":
    main()
