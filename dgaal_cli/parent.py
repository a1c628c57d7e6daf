"""End this process when its parent process ends, even if SIGKILL ends the parent.

The parent starts it with a pipe as standard input and the variables of ``CHILD``. The pipe closes
with the parent, which works on every POSIX system, whichever thread started the process.
"""

import _thread  # decoder processes start fast without ``threading``
import os
import select
import signal
import time
from importlib import import_module

_VARIABLE = "DGAAL_ENDS_WITH_STDIN"
CHILD = {_VARIABLE: "1"}
"""Environment variables of a process that calls ``end_with_parent``."""
_IDLE_S = 0.2
"""Seconds in which an idle process ends by itself, as it reads the end of its input."""
_GRACE_S = 1.0
"""Seconds between SIGTERM, after which a process may save its state, and its forced end."""


def end_with_parent() -> None:
    """Watch the parent if it has requested that with ``CHILD``; child processes inherit nothing."""
    if os.environ.pop(_VARIABLE, ""):
        watch_stdin()


def watch_stdin() -> None:
    """End this process after the other end of its standard input is closed."""
    _thread.start_new_thread(_wait, ())


def start_worker(module: str, function: str, *arguments: str) -> None:
    """Watch the parent of a pool's process, then import a module, which is slow, and call it."""
    _thread.start_new_thread(_end_with_pool, ())
    getattr(import_module(module), function)(*arguments)


def _end_with_pool() -> None:
    from multiprocessing import parent_process

    if parent := parent_process():
        parent.join()
        os._exit(1)


def _wait() -> None:
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    while not any(event & select.POLLHUP for _, event in poll.poll()):
        time.sleep(0.1)  # some systems report other events, too
    time.sleep(_IDLE_S)
    # The kernel ends the process at the alarm, even while the interpreter waits for threads to end.
    signal.setitimer(signal.ITIMER_REAL, _GRACE_S)
    os.kill(os.getpid(), signal.SIGTERM)
