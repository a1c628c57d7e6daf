"""The door that every write passes, one process at a time: an advisory lock beside the store.

SQLite's own busy handler polls and starves: eight busy people made one wait for 14 s. A blocking
flock wakes its waiters when it is freed (worst wait 0.2 s), and the kernel frees it when its holder
is killed.
"""

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path

from dgaal_cli.errors import BusyError, StorageError
from dgaal_cli.escaping import show

DEADLINE_S = 8.0
"""How long one process may hold the store before who waits for it is told its number."""
MAX_WAIT_S = 60.0
"""How long to wait in a crowd, where the store goes from hand to hand all the time."""
_LOOK_S = 0.25
"""Between two looks at who holds it."""

_COURTESY_S, _CROWDED_S = 0.003, 1.0
"""Who had to wait lately lets others in first: the kernel must wake them, and whoever has just left
would be back before they are up."""


class Gate:
    """The lock of one store; for one thread at a time."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._descriptor = -1
        self._crowded_until = 0.0

    def enter(self) -> None:
        """Wait for the lock.

        Raises:
            BusyError: Another process held it for ``DEADLINE_S``, or many did for ``MAX_WAIT_S``;
                the message names the process.
            StorageError: The lock's file cannot be made.
        """
        if self._descriptor < 0:
            self._descriptor = _open(self._store)
        if time.monotonic() < self._crowded_until:
            time.sleep(_COURTESY_S)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._crowded_until = time.monotonic() + _CROWDED_S
            self._wait()
        with contextlib.suppress(OSError):  # only for others' messages; a full disk is no reason
            os.pwrite(self._descriptor, f"{os.getpid():<12d}".encode(), 0)

    def leave(self) -> None:
        """Let the next one in."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock's file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wait(self) -> None:
        waiter = _Waiter(self._descriptor)
        began = since = time.monotonic()
        holder = _holder(self._store)
        try:
            while not waiter.wait(min(_LOOK_S, DEADLINE_S)):
                now, latest = time.monotonic(), _holder(self._store)
                if latest != holder:  # it goes round: nobody is stuck
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
        """Stop waiting; False if the lock came at the last moment."""
        if not waiter.give_up():
            return False
        self._descriptor = -1  # the waiter's to close: its request to the kernel cannot be revoked
        return True


class _Waiter:
    """A thread that blocks in the kernel, for flock knows no deadline."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._has_it = threading.Event()
        self._state = threading.Lock()
        self._is_given_up = False
        self._error: OSError | None = None
        threading.Thread(target=self._block, name="dgaal-gate", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Return whether the lock came in time."""
        came = self._has_it.wait(seconds)
        if came and self._error is not None:
            raise self._error
        return came

    def give_up(self) -> bool:
        """Return False if the lock is held already."""
        with self._state:
            self._is_given_up = not self._has_it.is_set()
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
                self._has_it.set()


def in_use(store: Path) -> BusyError:
    """Say who holds SQLite's own lock: another dgaal within its commit, or a foreign program."""
    foreign = BusyError(
        f"{store} is in use by another program, which is not dgaal; try again when it is done"
    )
    try:
        descriptor = os.open(lock_path(store), os.O_RDONLY)
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


def lock_path(store: Path) -> Path:
    """Where the lock of a store lies."""
    return store.parent / ".locks" / f"{store.name}.lock"


def _open(store: Path) -> int:
    path = lock_path(store)
    try:
        path.parent.mkdir(exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageError(
            f"cannot write in {store.parent}: {error.strerror}; "
            "check the folder's permission and the disk"
        ) from error


def _busy(holder: str, store: Path, seconds: float) -> BusyError:
    return BusyError(
        f"{store} is being written by process {holder or 'unknown'} for more than "
        f"{seconds:.0f} s; wait for it or stop it (a stopped one goes on with "
        f"'kill -CONT {holder or 'PID'}'), then try again"
    )


def _holder(store: Path) -> str:
    with contextlib.suppress(OSError):
        return show(lock_path(store).read_bytes()[:32]).strip()
    return ""
