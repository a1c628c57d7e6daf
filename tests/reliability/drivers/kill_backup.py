"""Kill a backup before each of its calls on files, one after another.

Arguments: seed (unused: every call is tried), folder of a workspace with a full backup and newer
answers, variant. The variant ``in place`` copies a backup to its name instead of renaming it: the
negative control.
"""

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from kill_restore import LIMIT, run

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.sqlite import backups


def back_up(root: Path) -> None:
    """Write a delta."""
    with open_store(root / "labels.db") as store:
        store.back_up()


def copy_over(source: Path, target: Path) -> None:
    """Write a file under its name."""
    with target.open("wb") as written, source.open("rb") as read:
        shutil.copyfileobj(read, written)


def state(root: Path) -> str:
    """Return the events of the newest backup that can be restored; "damaged" if one cannot."""
    found = backups.existing(root / "labels.db")
    try:
        for copy in found:
            backups.verify(copy)
    except WorkspaceError:
        return "damaged"
    return str(backups.verify(found[0]))


def main() -> None:
    """Run the backups and print what could be restored after each kill, and after one more."""
    pristine = Path(sys.argv[2])
    if sys.argv[3] == "in place":
        os.replace = copy_over
    root = pristine.with_name("box")
    found: Counter[str] = Counter()
    again: Counter[str] = Counter()
    kills = 0
    while kills < LIMIT:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(pristine, root, symlinks=True)
        if run(root, back_up, kill_at=kills + 1):
            break
        kills += 1
        found[state(root)] += 1
        assert run(root, back_up, kill_at=0)
        again[state(root)] += 1
    events = store_location(root / "labels.db").restore().events
    sys.stdout.write(
        "\n" + json.dumps({"kills": kills, "found": found, "again": again, "restored": events})
    )


if __name__ == "__main__":
    main()
