"""Kill ``dgaal labels restore`` before each of its calls on files, one after another.

Arguments: seed (unused: every call is tried), folder of a workspace with a backup, variant. The
store's last process was killed within a transaction, so a journal is next to it. The variant
``renamed`` moves the store away before the copy gets its name: the negative control.
"""

import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dgaal_cli.api import labels
from dgaal_cli.errors import WorkspaceError
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite import restore as sqlite_restore
from dgaal_cli.workspace import Workspace

EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.truncate", "sqlite3.connect"}
LIMIT = 200


def leave_a_journal(path: Path) -> None:
    """Kill a fork within a transaction that has reached the file."""
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE item SET bytes = bytes + 1")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)", ((f"filler {n}", "x" * 500) for n in range(100))
        )
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    journal = path.with_name(path.name + "-journal")
    assert journal.stat().st_size > 0


def renamed(store: Path, aside: Path, linked: list[tuple[Path, Path]]) -> None:
    """Set a store aside by renaming it, which removes its only name."""
    for old in (store, store.with_name(store.name + "-journal")):
        if old.exists():
            old.rename(aside.with_name(old.name.replace(store.name, aside.name, 1)))


def restore(root: Path) -> None:
    """Restore the newest backup."""
    labels.restore(Workspace(root))


def run(root: Path, action: Callable[[Path], None], *, kill_at: int) -> bool:
    """Do something in a fork that dies before call ``kill_at``; return whether it finished."""
    child = os.fork()
    if child == 0:
        call_count = 0

        def count_call(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal call_count
            if event in EVENTS and str(root) in str(arguments):
                call_count += 1
                if call_count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count_call)
        code = 1
        try:
            action(root)
            code = 0
        except BaseException:  # noqa: BLE001 - a child must never return into the driver
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def state(root: Path) -> str:
    """Return the watermark of the store in the folder, or how it is damaged."""
    if not (root / "labels.db").exists():
        return "none"
    try:
        with open_store(root / "labels.db") as store:
            return "changed" if store.check() else str(store.watermark())
    except WorkspaceError:
        return "damaged"


def main() -> None:
    """Run the restores and print how the kills left the store."""
    pristine = Path(sys.argv[2])
    if sys.argv[3] == "renamed":
        sqlite_restore._set_aside = renamed
    leave_a_journal(pristine / "labels.db")
    root = pristine.with_name("box")
    found: dict[str, int] = {}
    again: dict[str, int] = {}
    kills = 0
    while kills < LIMIT:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(pristine, root, symlinks=True)
        if run(root, restore, kill_at=kills + 1):
            break
        kills += 1
        left = state(root)
        found[left] = found.get(left, 0) + 1
        assert run(root, restore, kill_at=0)
        left = state(root)
        again[left] = again.get(left, 0) + 1
    sys.stdout.write("\n" + json.dumps({"kills": kills, "found": found, "again": again}))


if __name__ == "__main__":
    main()
