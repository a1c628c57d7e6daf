"""The answers that a process has reported as stored, and which of them the file no longer holds."""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from dgaal_cli.store.records import AnswerRecord

if TYPE_CHECKING:
    from dgaal_cli.store.protocol import Rescue

ADVICE = "stop the program that changed it, put the right file back, and start again"


class Acknowledged:
    """What each annotator states about each image, as answers of one open store left it."""

    def __init__(self, path: Path) -> None:
        """Start without any; ``path`` is the file of the store."""
        self.rescue: Rescue = lambda _lost, _stored: ADVICE
        """Called after an outside change of the file."""
        self._path = path
        self._stated: dict[tuple[int, str, bool], AnswerRecord] = {}

    def add(self, records: Iterable[AnswerRecord]) -> None:
        """Remember what was committed and checked."""
        for record in records:
            is_flag = record.kind in ("flag", "unflag")
            self._stated[record.item_id, record.annotator, is_flag] = record

    def explain(self) -> str:
        """Find what is lost and return the end of the message of a ``StoreChangedError``."""
        present = self._present()
        lost = [record for record in self._stated.values() if record.op_id not in present]
        return self.rescue(sorted(lost, key=attrgetter("event_id")), len(self._stated))

    def _present(self) -> Collection[str]:
        """Return the operations that the file at the path holds now; none if it is damaged."""
        with contextlib.suppress(sqlite3.Error):
            # A new connection has no old pages in its cache.
            connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
            with contextlib.closing(connection):
                if connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
                    found = "SELECT 1 FROM event WHERE op_id = ?"
                    ids = (record.op_id for record in self._stated.values())
                    return {each for each in ids if connection.execute(found, (each,)).fetchone()}
        return ()
