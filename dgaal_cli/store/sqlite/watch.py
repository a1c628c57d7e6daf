"""Notice that another program moved, replaced or overwrote the file of an open store.

SQLite does not notice all of it: it keeps writing to a file that was deleted, and uses cached pages
of a file that was overwritten by a copy with the same change counter.
"""

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.errors import StorageError
from dgaal_cli.escaping import show

_UNREADABLE = {
    sqlite3.SQLITE_ERROR,  # a table is missing
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
}
RECHECK_S = 0.05
"""Reads in this time after a check are not checked: an import does 100,000 of them."""
_READ = """SELECT v.user_version,
    (SELECT value FROM meta WHERE key = 'workspace_id'), n.event_id, n.op_id,
    (SELECT op_id FROM event WHERE event_id = ?)
    FROM pragma_user_version v
    LEFT JOIN (SELECT event_id, op_id FROM event ORDER BY event_id DESC LIMIT 1) n"""


class OutsideChangeError(Exception):
    """The file is not the one that this process used before; the text says what happened to it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What tells the content of a store from that of another file or an older copy."""

    version: int
    workspace: str | None
    newest: int
    """Number of the newest event; 0 without one."""
    op_id: str | None
    """Operation id of that event, which no other event has."""


class FileWatch:
    """The file that a connection has opened, and what the connection knows about its content."""

    def __init__(self, path: Path) -> None:
        """Remember the file at ``path``; create this before the connection.

        Raises:
            OutsideChangeError: There is no file.
        """
        self._path = path.absolute()
        self._file = self._found()
        self.known: Contents | None = None
        """Content at the last check; None before it was read once."""
        self._checked_at = float("-inf")

    def is_due(self) -> bool:
        """Return whether a read must be checked."""
        return time.monotonic() - self._checked_at > RECHECK_S

    def check_path(self) -> None:
        """Check that the path still names the file.

        Raises:
            OutsideChangeError: It names no file or another one.
            StorageError: The folder cannot be read.
        """
        if self._found() != self._file:
            raise OutsideChangeError("was replaced by another file")

    def check(self, connection: sqlite3.Connection) -> None:
        """Check that the content continues what is known; remember the newest event.

        ``forget_pages`` must be called before, outside of a transaction.

        Raises:
            OutsideChangeError: The file is damaged or has other content.
            sqlite3.Error: The file cannot be read for another reason.
        """
        known = self.known
        try:
            found, op_id = _read(connection, event=known.newest if known else 0)
        except sqlite3.Error as error:
            if primary_code(error) not in _UNREADABLE:
                raise
            if known is None:  # damaged before it was opened, which the caller finds out
                return
            raise OutsideChangeError(f"was emptied or damaged ({show(str(error))})") from error
        if known is not None:
            if found.workspace != known.workspace:
                raise OutsideChangeError("was overwritten with the store of another workspace")
            if op_id != known.op_id:
                raise OutsideChangeError("was overwritten with another copy")
            if found.version != known.version:
                raise OutsideChangeError(f"was changed to version {found.version}")
        self.known, self._checked_at = found, time.monotonic()

    def expect(self, connection: sqlite3.Connection) -> Contents:
        """Return the content as the transaction of this connection will leave it."""
        return _read(connection, event=0)[0]

    def _found(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - faster, and runs several times an answer
        except (FileNotFoundError, NotADirectoryError):
            raise OutsideChangeError("was moved or deleted") from None
        except OSError as error:
            raise StorageError(
                f"cannot read {self._path}: {error.strerror}; check the folder and the disk"
            ) from error
        return found.st_dev, found.st_ino


def forget_pages(connection: sqlite3.Connection) -> None:
    """Let the next transaction read all pages from the file."""
    connection.execute("PRAGMA shrink_memory")


def primary_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's code of an error without its details, for example ``SQLITE_IOERR``."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _read(connection: sqlite3.Connection, *, event: int) -> tuple[Contents, str | None]:
    """Return the content, and the operation id of the event with a number."""
    row = connection.execute(_READ, (event,)).fetchone()
    version, workspace, newest, newest_op, op_id = row
    return Contents(version, workspace, newest or 0, newest_op), op_id
