"""The write lock of a store across processes: an advisory file lock next to the store.

SQLite's busy handler polls and is not fair: with eight busy annotators, one waited 14 s. A blocking
flock wakes its waiters on release (longest wait 0.2 s), and the kernel releases it when its holder
is killed.
"""

import contextlib
import fcntl
import os
import re
import threading
import time
from pathlib import Path

from dgaal_cli.errors import BusyError
from dgaal_cli.workspace import NOTE_BYTES, holder_note, lock_path, open_lock

DEADLINE_S = 8.0
"""Seconds that one process may hold the lock before waiters raise an error with its id."""
MAX_WAIT_S = 60.0
"""Maximum wait in seconds while the lock passes from process to process."""
_POLL_S = 0.25
"""Seconds between two checks of the holder."""

_PROCESS = re.compile(rb"(?:process )?([0-9]+)\b")  # earlier versions wrote only the id
_BACKOFF_S, _CONTENTION_S = 0.003, 1.0
"""For ``_CONTENTION_S`` after a wait, sleep ``_BACKOFF_S`` before taking the lock, for fairness:
waking a waiter takes longer than taking the lock again."""


class Gate:
    """The write lock of one store; one thread at a time may use it."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._descriptor = -1
        self._contended_until = 0.0

    def enter(self) -> None:
        """Wait for the lock.

        Raises:
            BusyError: One process held the lock for ``DEADLINE_S``, or several did for
                ``MAX_WAIT_S``; the message names the process.
            StorageError: The lock file cannot be created.
        """
        if self._descriptor < 0:
            self._descriptor = open_lock(self._store.parent, self._store.name)
        if time.monotonic() < self._contended_until:
            time.sleep(_BACKOFF_S)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._contended_until = time.monotonic() + _CONTENTION_S
            self._wait()
        with contextlib.suppress(OSError):  # the id is only for error messages of other processes
            os.pwrite(self._descriptor, holder_note("writing labels").ljust(NOTE_BYTES), 0)

    def leave(self) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):  # the next holder may be waited for before it writes
            os.ftruncate(self._descriptor, 0)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wait(self) -> None:
        waiter = _Waiter(self._descriptor)
        began = since = time.monotonic()
        holder = _holder(self._store)
        try:
            while not waiter.wait(min(_POLL_S, DEADLINE_S)):
                now, latest = time.monotonic(), _holder(self._store)
                if latest != holder:  # the lock passes on, so no holder is stuck
                    holder, since = latest, now
                if now - since >= DEADLINE_S or now - began >= MAX_WAIT_S:
                    break
            else:
                return
        except BaseException:
            self._abandon(waiter)
            raise
        if self._abandon(waiter):
            raise _busy(holder, self._store, time.monotonic() - began)

    def _abandon(self, waiter: "_Waiter") -> bool:
        """Stop waiting; return False if the lock was acquired meanwhile."""
        if not waiter.give_up():
            return False
        self._descriptor = -1  # the waiter closes it: a pending flock cannot be canceled
        return True


class _Waiter:
    """A thread that blocks in flock, which has no timeout."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_done = threading.Event()
        self._state = threading.Lock()
        self._is_given_up = False
        self._error: OSError | None = None
        threading.Thread(target=self._block, name="dgaal-gate", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Return whether the lock was acquired in time."""
        is_done = self._is_done.wait(seconds)
        if is_done and self._error is not None:
            raise self._error
        return is_done

    def give_up(self) -> bool:
        """Stop the wait; return False if the lock is held already."""
        with self._state:
            self._is_given_up = not self._is_done.is_set()
            return self._is_given_up

    def _block(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            self._error = error
        with self._state:
            if self._is_given_up:
                os.close(self._descriptor)
            else:
                self._is_done.set()


def in_use(store: Path) -> BusyError:
    """Return the error for SQLite's own lock, held by a commit of dgaal or another program."""
    foreign = BusyError(
        f"{store} is in use by another process, perhaps of another program; wait for it or stop "
        "it, then try again"
    )
    try:
        descriptor = os.open(lock_path(store.parent, store.name), os.O_RDONLY)
    except OSError:
        return foreign
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        holder = _holder(store)
        return foreign if holder == str(os.getpid()) else _busy(holder, store, DEADLINE_S)
    else:
        return foreign
    finally:
        os.close(descriptor)


def _busy(holder: str, store: Path, seconds: float) -> BusyError:
    return BusyError(
        f"{store} is being written by process {holder or 'unknown'} for more than "
        f"{seconds:.0f} s; wait for it or stop it (a suspended one continues with "
        f"'kill -CONT {holder or 'PID'}'), then try again"
    )


def _holder(store: Path) -> str:
    """Return the id of the process that holds the lock; empty if unknown."""
    with contextlib.suppress(OSError):
        found = _PROCESS.match(lock_path(store.parent, store.name).read_bytes())
        return found[1].decode() if found else ""
    return ""
