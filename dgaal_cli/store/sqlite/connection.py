"""One durable SQLite connection: pragmas, write gate, transactions, error messages.

Every write transaction takes the store's gate first. The store has a rollback journal: with a
write-ahead log, pages in the log hide that another program overwrote the file, and SQLite 3.7.0 to
3.51.2 can corrupt a file with a log (sqlite.org/wal.html#walresetbug).
"""

import contextlib
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.atomic import sync_folder
from dgaal_cli.errors import (
    DgaalError,
    StorageError,
    StoreChangedError,
    UsageError,
    WorkspaceError,
)
from dgaal_cli.escaping import show
from dgaal_cli.scratch import scratch
from dgaal_cli.store.instants import Clock, system_clock, to_microseconds
from dgaal_cli.store.protocol import LEASE_S
from dgaal_cli.store.sqlite import schema
from dgaal_cli.store.sqlite.gate import Gate, in_use
from dgaal_cli.store.sqlite.watch import (
    FileWatch,
    OutsideChangeError,
    forget_pages,
    primary_code,
)
from dgaal_cli.workspace import private_mode

_STORAGE = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed",
    sqlite3.SQLITE_READONLY: "it is not writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "permission is denied",
}
_BUSY_TIMEOUT_MS, _FIRST_TIMEOUT_MS = 5000, 100
WHOLE_BYTES = 4 << 20
"""Files up to this size are checked whole at each opening, which takes about 0.1 s."""
_NEWEST_ORPHAN = """SELECT 'event' FROM (SELECT item_id, label_id FROM event
    ORDER BY event_id DESC LIMIT 100) LEFT JOIN item i USING(item_id) LEFT JOIN label l
    USING(label_id) WHERE i.need IS NULL OR (label_id IS NOT NULL AND l.version IS NULL)"""
_READ_PAGE = "SELECT count(*) FROM sqlite_schema WHERE rowid = 1"
"""Reads a page of any store, which takes SQLite's shared lock."""
_MAX_OPENINGS = 3
"""An overlay file system may replace a file when it is opened for writing."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


@dataclass(frozen=True, kw_only=True)
class LeaseTime:
    """Seconds since a boot: now, and the latest end of a lease that was granted by now."""

    boot: str
    now: float
    latest: float


class Connection(sqlite3.Connection):
    """A connection that knows the time and how long an image is reserved."""

    clock: Clock = system_clock
    lease_s: float = LEASE_S

    def lease_time(self) -> LeaseTime:
        """Return the time by which leases are granted and expire."""
        boot, now = self.clock.since_boot()
        return LeaseTime(boot=boot, now=now, latest=now + max(self.lease_s, LEASE_S))

    def now_us(self) -> int:
        """Return the time of an event, in microseconds."""
        return to_microseconds(self.clock())


class Database:
    """An open store file; several threads may use it, one at a time."""

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        """Open an existing store and check its kind and version.

        Raises:
            WorkspaceError: The file is missing, damaged, not a store, or written by a newer dgaal.
            StorageError: The file cannot be read.
        """
        self.path = path
        self.is_read_only = is_read_only
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._gate = Gate(path)
        self.on_change: Callable[[], str] = lambda: "run the command again"
        """Called after an outside change; returns the end of the message."""
        if not path.is_file():
            raise WorkspaceError(
                f"there is no label store at {path}; restore a backup from the folder "
                "'backups' next to it, or make a new workspace with 'dgaal init'"
            )
        with _translated_errors(path):
            self.connection, self._watch = _connect_watched(path, is_read_only=is_read_only)
        try:
            with self._explained_errors():
                self._in_turn(lambda: _check_and_prepare(self.connection, path))
        except BaseException:
            self.connection.close()
            raise

    def check(self, *, is_bounded: bool = False) -> None:
        """Check for damage, and for tables, triggers or views that are not dgaal's.

        Args:
            is_bounded: Read a bounded part of a file above ``WHOLE_BYTES``: the header, the number
                of pages against the size of the file, the schema, and the newest row of each
                table and what the newest events refer to. Other pages and references are not
                checked then.

        Raises:
            WorkspaceError: The store must not be used; it is not changed.
        """
        with self.read() as connection:
            foreign = schema.objects(connection) ^ schema.expected_objects()
            size = self.path.stat().st_size
            page_size = int(connection.execute("PRAGMA page_size").fetchone()[0])
            is_cut = size % page_size != 0  # SQLite reads the rest as zeros
            verdict = "ok"
            if is_bounded and size > WHOLE_BYTES:
                for kind, name, _ in () if foreign else schema.objects(connection):
                    if kind == "table":
                        newest = f"SELECT * FROM {name} ORDER BY rowid DESC LIMIT 1"  # noqa: S608
                        connection.execute(newest).fetchone()
                orphan = connection.execute(_NEWEST_ORPHAN).fetchone()
            else:
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
        problem = "its last page is cut short" if is_cut else ""
        if verdict != "ok":
            problem = show(str(verdict))
        elif orphan is not None:
            problem = f"a row of table {show(str(orphan[0]))} refers to a missing row"
        elif foreign:
            problem = f"{show(min(foreign)[1])} is missing or was changed"
        if problem:
            raise WorkspaceError(
                f"{self.path} is damaged ({problem}); "
                "run 'dgaal labels restore' to go back to the newest intact backup"
            )

    def version(self) -> int:
        """Return the schema version of the file."""
        with self.read() as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Yield a connection in a read transaction; keep it short, since it blocks writers.

        Raises:
            StoreChangedError: Another program changed the file.
        """
        with self._lock, self._explained_errors():
            self._check_process()
            if self.connection.in_transaction:  # a read inside a write of this thread
                yield self.connection
                return
            is_due = self._watch.is_due()
            if is_due:
                self._watch.check_path()
                forget_pages(self.connection)
            self.connection.execute("BEGIN DEFERRED")
            try:
                self._in_turn(lambda: self.connection.execute(_READ_PAGE).fetchone())
                if is_due:
                    self._watch.check(self.connection)
                yield self.connection
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    def _in_turn(self, read: Callable[[], object]) -> None:
        """Run what takes SQLite's shared lock; if writers hold the store, do so in their queue.

        SQLite polls at growing intervals; with eight busy annotators it got no lock within 5 s.
        """
        try:
            self.connection.execute(f"PRAGMA busy_timeout = {_FIRST_TIMEOUT_MS}")
            read()
        except sqlite3.OperationalError as error:
            if primary_code(error) not in _BUSY:
                raise
            with contextlib.ExitStack() as queue:
                with contextlib.suppress(StorageError):  # a read-only folder
                    queue.enter_context(self.gate())
                self.connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
                read()
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")

    @contextmanager
    def write(self) -> Generator[Connection]:
        """Run the block as one durable transaction.

        Raises:
            BusyError: Another process held the store for ``gate.DEADLINE_S``.
            StorageError: The disk is full or fails; the transaction is rolled back.
            StoreChangedError: Another program changed the file, before this or meanwhile.
        """
        if self.is_read_only:
            raise StorageError(f"{self.path} was opened for reading only")
        with self._lock, self._explained_errors():
            self._watch.check_path()  # the gate cannot be made in a missing folder
            with self.gate():
                self._check_process()
                self._watch.check_path()
                forget_pages(self.connection)
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    self._watch.check(self.connection)
                    yield self.connection
                    expected = self._watch.expect(self.connection)
                    self.connection.execute("COMMIT")
                except BaseException:
                    # SQLite may have rolled back already, for example on a full disk.
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                    raise
                self._watch.known = expected
                self._check_unchanged()  # else the transaction is in a file that is gone

    @contextmanager
    def gate(self) -> Generator[None]:
        """Block the writes of all other dgaal processes while the block runs."""
        with self._lock:
            # Ctrl-Z would stop this process while all others wait for the gate.
            previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
            try:
                self._gate.enter()
                try:
                    yield
                finally:
                    self._gate.leave()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.connection.close()
            self._gate.close()

    def check_unchanged(self) -> None:
        """Check that this is the file that was opened, with all that was written to it.

        Raises:
            StoreChangedError: Another program changed the file.
        """
        with self._lock, self._explained_errors():
            self._in_turn(self._check_unchanged)

    def _check_unchanged(self) -> None:
        self._watch.check_path()
        forget_pages(self.connection)
        self._watch.check(self.connection)

    @contextmanager
    def _explained_errors(self) -> Generator[None]:
        """Translate errors; say so if another program changed the file."""
        try:
            with _translated_errors(self.path):
                try:
                    yield
                except sqlite3.Error:
                    with contextlib.suppress(sqlite3.Error):  # report the first error
                        self._check_unchanged()
                    raise
        except OutsideChangeError as change:
            raise StoreChangedError(
                f"{self.path} {change} while it was open: {self.on_change()}"
            ) from change

    def _check_process(self) -> None:
        if os.getpid() != self._process:  # sqlite.org/howtocorrupt.html#_carrying_an_open_database
            raise RuntimeError("a label store must be opened after the fork, in each process")


def create_file(path: Path, meta: dict[str, str]) -> None:
    """Create an empty store under a temporary name, then link it to ``path``.

    Raises:
        UsageError: The file exists.
        StorageError: The folder is not writable.
    """
    try:
        with scratch(path.parent, is_folder=True) as folder:
            temporary = folder / path.name
            with _translated_errors(path):
                _fill(temporary, meta)
            # SQLite's own mode does not let the group write; its journals copy the mode.
            temporary.chmod(private_mode(path.parent))
            try:
                os.link(temporary, path)  # unlike a rename, a link never replaces a file
            except FileExistsError:
                raise UsageError(f"{path} exists already; it was not changed") from None
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot make {path}: {error.strerror or error}") from error


def _fill(path: Path, meta: dict[str, str]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        schema.migrate(connection, version=0)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
        connection.execute("COMMIT")
    finally:
        connection.close()


def _connect(path: Path, *, is_read_only: bool) -> Connection:
    # Rolling back the journal of a killed writer needs write access; use mode=ro only without it.
    mode = "ro" if is_read_only and not os.access(path, os.W_OK) else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=5.0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Connection,
    )
    if is_read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _connect_watched(path: Path, *, is_read_only: bool) -> tuple[Connection, FileWatch]:
    for _ in range(_MAX_OPENINGS):
        with contextlib.suppress(OutsideChangeError):
            watch = FileWatch(path)
            connection = _connect(path, is_read_only=is_read_only)
            try:
                watch.check_path()
            except BaseException:
                connection.close()
                raise
            return connection, watch
    raise StoreChangedError(f"{path} was moved or replaced while it was opened; try again")


def _check_and_prepare(connection: sqlite3.Connection, path: Path) -> None:
    _check_kind(connection, path)
    _set_pragmas(connection, path)


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise WorkspaceError(
            f"{path} is not a label store of dgaal; "
            "run 'dgaal labels restore' to replace it by the newest intact backup"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if not 1 <= version <= schema.latest_version():
        raise WorkspaceError(
            f"{path} has version {version}, this dgaal knows up to "
            f"{schema.latest_version()}; upgrade dgaal to open it"
        )


def _set_pragmas(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in (
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        "recursive_triggers = ON",  # else INSERT OR REPLACE bypasses the append-only trigger
        "synchronous = FULL",
        *(("fullfsync = ON",) if sys.platform == "darwin" else ()),
    ):
        connection.execute(f"PRAGMA {pragma}")
    if connection.execute("PRAGMA query_only").fetchone()[0]:
        return
    # Leaving a write-ahead log, as other programs may set it, fails while they use the file.
    found = str(connection.execute("PRAGMA journal_mode = truncate").fetchone()[0])
    if found != "truncate":
        raise WorkspaceError(
            f"{path} is in journal mode {found} and must be in truncate; close every other "
            "program that has it open, then try again"
        )


@contextmanager
def _translated_errors(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        translated = translate(error, path)
        if translated is None:
            raise
        raise translated from error


def translate(error: sqlite3.Error, path: Path) -> DgaalError | None:
    """Return an error with advice for the user, or None if the error is a bug of dgaal."""
    primary = primary_code(error)
    name = show(str(path))
    if primary in _STORAGE:
        return StorageError(
            f"cannot use {name}: {_STORAGE[primary]}; make room or fix the permission and try again"
        )
    if primary in _BUSY:
        return in_use(path)
    if primary in _DAMAGED:
        return WorkspaceError(
            f"{name} is damaged or not a label store ({error}); "
            "run 'dgaal labels restore' to go back to the newest intact backup"
        )
    return None
