"""Kill ``dgaal init`` before each of its calls on files, one after another.

Arguments: seed (unused: every call is tried), folder with a pool, variant. After each kill the
folder must be no workspace or a whole one, and the next ``init`` must succeed or say so.
The variant ``unmarked`` leaves the mark of an unfinished store out: the negative control.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.errors import UsageError
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite import location
from dgaal_cli.workspace import Workspace

EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "sqlite3.connect"}
LIMIT = 400


def run_init(root: Path, pool: Path, *, kill_at: int) -> str:
    """Run ``init`` in a fork that dies before call ``kill_at``; return how it ended."""
    told, tell = os.pipe()
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
        try:
            init(InitRequest(root=root, pool=str(pool), base=pool, classes=("a", "b")))
            os.write(tell, b"done")
        except UsageError as error:
            os.write(tell, b"a workspace already" if "already" in str(error) else b"refused")
        except BaseException:  # noqa: BLE001 - a child must never return into the driver
            traceback.print_exc()
            os.write(tell, b"failed")
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told) as stream:
        ending = stream.read() or "killed"
    os.waitpid(child, 0)
    return ending


def is_whole(root: Path) -> bool:
    """Return whether the folder is a workspace with all images, and holds no litter."""
    with open_store(Workspace(root)) as store:
        is_complete = store.counts().items == 3 and len(store.classes()) == 2 and not store.check()
    names = {path.name for path in root.iterdir()} - {
        "labels.db-journal",
        "cache",
    }  # empty, of SQLite; found again
    return is_complete and names == {".locks", "dgaal.toml", "labels.db"}


def main() -> None:
    """Run ``init`` until no call is left to die before; print what the kills left."""
    pool, root = Path(sys.argv[2]), Path(sys.argv[2]).with_name("made")
    if sys.argv[3] == "unmarked":
        location._mark_unfinished = lambda store: None
    found: dict[str, int] = {}
    kills = 0
    while kills < LIMIT:
        shutil.rmtree(root, ignore_errors=True)
        if run_init(root, pool, kill_at=kills + 1) == "done":
            break
        kills += 1
        was_workspace = (root / "dgaal.toml").exists()
        again = run_init(root, pool, kill_at=0)
        what = f"{'workspace' if was_workspace else 'none'}, then {again}"
        if (root / "dgaal.toml").exists() and not is_whole(root):
            what += ", not whole"
        found[what] = found.get(what, 0) + 1
    sys.stdout.write("\n" + json.dumps({"kills": kills, "found": found}))


if __name__ == "__main__":
    main()
