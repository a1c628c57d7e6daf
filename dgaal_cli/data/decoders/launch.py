"""Start decoder processes, optionally before they are needed, and end them.

Does not import numpy, so that a command can start them before its own imports.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

_START = (
    "import os, sys; sys.path[:0] = {paths!r}; "
    "from dgaal_cli.data.decoders.worker import main; main(); "
    "os._exit(0)"  # skips the interpreter's shutdown, which takes a fifth of its start
)
_MAX_WORKERS = 64
_ROOT = str(Path(__file__).parents[3])
"""Folder that contains the package."""
_PIPE_BYTES = 2**20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux; only some builds of Python define it

_ahead: list[subprocess.Popen[bytes]] = []


def usable_cpus() -> int:
    """Return how many CPUs this process may use; containers often allow fewer than the host has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def worker_count(requested: int) -> int:
    """Return how many processes to use: ``requested``, or one per CPU if it is 0.

    The number is limited: thousands would exhaust the memory and would not decode faster.
    """
    cpus = usable_cpus()
    return min(requested, max(_MAX_WORKERS, 4 * cpus)) if requested > 0 else cpus


def start_ahead(count: int) -> None:
    """Start processes that ``take`` returns later; ``end_ahead`` ends those not taken."""
    while len(_ahead) < count:
        _ahead.append(start())


def end_ahead() -> None:
    """End the processes that were started ahead and not taken."""
    while _ahead:
        end(_ahead.pop())


def take() -> subprocess.Popen[bytes]:
    """Return a process that was started ahead, or start one."""
    return _ahead.pop() if _ahead else start()


def start() -> subprocess.Popen[bytes]:
    """Start a process without waiting for it."""
    code = _START.format(paths=[_ROOT, *filter(None, sys.path)])
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-I", "-S", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **threads},
    )
    for pipe in pipes(process):
        _widen(pipe)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes, so that the process ends, and wait for it."""
    for stream in pipes(process):
        try:
            stream.close()
        except OSError:  # the process is dead and unsent data remains
            continue
    process.wait()


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return the pipe for requests and the pipe for answers."""
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)


def _widen(stream: IO[bytes]) -> None:
    """Enlarge the pipe to hold a whole request, so that neither side waits for the other."""
    if not sys.platform.startswith("linux"):
        return
    import fcntl

    try:
        fcntl.fcntl(stream, _SET_PIPE_SIZE, _PIPE_BYTES)
    except OSError:  # the user's limit of pipe memory is reached; this is only slower
        return
