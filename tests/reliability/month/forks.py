"""Run commands in forks of a process that has imported them, with faults at their file calls."""

import contextlib
import ctypes
import gc
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ACTIONS = ("none", "kill", "fail", "fail on", "jump", "stop")
"""Names of ``enum action`` in file_calls.c."""
_HANGS_S = 300
"""Seconds after which a command is taken for hanging; SIGALRM ends it."""
_SECOND_NS = 1_000_000_000


class _Record(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_long),
        ("hit", ctypes.c_long),
        ("call", ctypes.c_char * 24),
        ("path", ctypes.c_char * 232),
    )


_SIZE = 4096
_shared = mmap.mmap(-1, _SIZE)
"""One record for each of two commands; forks share it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What happens at a command's calls on files."""

    action: str = "none"
    at: int = 0
    """Number of the call, from 1."""
    error: int = 0
    jump_s: float = 0.0
    denied: str = ""
    """End of the path of a file whose permission is taken away."""


@dataclass(kw_only=True)
class Clock:
    """The clock and the time since the boot of one host, as shifts of the real ones."""

    folder: Path
    wall_s: float = 0.0
    boot_s: float = 0.0
    boots: int = 0

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.wall_s += seconds
        self.boot_s += seconds

    def set(self, seconds: float) -> None:
        """Set the clock by ``seconds``; the time since the boot goes on."""
        self.wall_s += seconds

    def reboot(self) -> None:
        """Start another boot."""
        self.boots += 1
        self.boot_s = 30.0 - _uptime()

    def boot_file(self) -> str:
        """Return a file with the id of the boot."""
        path = self.folder / f"boot-{self.boots}"
        path.write_text(f"boot-{self.boots} of {self.folder.name}\n")
        return str(path)


def _uptime() -> float:
    import time

    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(kw_only=True)
class Job:
    """One command to run."""

    argv: Sequence[str]
    root: str
    """Folder whose files are counted."""
    desk: str
    """Folder for its standard streams."""
    typed: str = ""
    plan: Plan = field(default_factory=Plan)
    wall_ns: int = 0
    boot_ns: int = 0
    boot_file: str = ""
    slot: int = 0
    streams: tuple[int, int] | None = None
    """Descriptors of standard input and output instead of files."""
    closes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended; ``code`` is None while it is stopped, and negative after a signal."""

    code: int | None
    out: str
    err: str
    calls: int
    hit: int
    """Number of the call at which the fault happened; 0: it did not happen."""
    where: str
    """That call and its path."""


class Forks:
    """Starts commands as children of this process."""

    def start(self, job: Job) -> int:
        """Start a command; return its process id."""
        sys.stdout.flush()
        sys.stderr.flush()
        _record(job.slot, is_cleared=True)
        child = os.fork()
        if child == 0:
            _work(job)
        return child

    def wait(self, child: int) -> int:
        """Wait until a command ends; return its exit code, negative after a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def wait_for_stop(self, child: int, job: Job) -> int | None:
        """Wait until a command ends or reaches the call at which its plan stops it.

        Someone else may stop a process, too; that is no reason to go on without it.
        """
        while True:
            _, status = os.waitpid(child, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                return os.waitstatus_to_exitcode(status)
            if _record(job.slot).hit:
                return None

    def learn(self, names: Sequence[str]) -> None:
        """Import modules, so that later forks need not."""
        for name in names:
            if name not in sys.modules:
                try:
                    import_module(name)
                except Exception:  # noqa: BLE001 - needed by nobody but the one that made it
                    continue
        gc.collect()
        gc.freeze()


class FarForks:
    """``Forks`` in a process of its own, which may import what slows every fork down."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            ours.close()
            _serve(theirs)
        theirs.close()
        self._lines = ours.makefile("rw")

    def start(self, job: Job) -> int:
        """Start a command; return its process id."""
        return self._ask("start", asdict(job))

    def wait(self, child: int) -> int:
        """Wait until a command ends."""
        return self._ask("wait", child)

    def learn(self, names: Sequence[str]) -> None:
        """Import modules there."""
        self._ask("learn", list(names))

    def _ask(self, verb: str, value: Any) -> Any:
        self._lines.write(json.dumps([verb, value]) + "\n")
        self._lines.flush()
        return json.loads(self._lines.readline())


def _serve(channel: socket.socket) -> NoReturn:
    forks, lines = Forks(), channel.makefile("rw")
    for line in lines:
        verb, value = json.loads(line)
        if verb == "start":
            value = Job(**{**value, "plan": Plan(**value["plan"])})
        lines.write(json.dumps(getattr(forks, verb)(value)) + "\n")
        lines.flush()
    os._exit(0)


class Conversation:
    """A command whose standard input and output the simulation holds."""

    def __init__(self, forks: Forks, job: Job) -> None:
        """Start the command."""
        theirs_in, self._input = os.pipe()
        self._output, theirs_out = os.pipe()
        job = replace(job, streams=(theirs_in, theirs_out), closes=(self._input, self._output))
        self._forks, self._job = forks, job
        self._child = forks.start(job)
        os.close(theirs_in)
        os.close(theirs_out)
        self.heard = ""

    def listen(self, end: str) -> None:
        """Read on until a line ends with ``end``, or until the command ends."""
        count = len(self.heard)
        while len(self.heard) == count or not self.heard.endswith(f"{end}\n"):
            part = os.read(self._output, 1 << 16)
            if not part:
                return
            self.heard += part.decode()

    def say(self, line: str) -> None:
        """Type a line."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._input, f"{line}\n".encode())

    def end(self) -> Ended:
        """Close the input, read the rest and wait."""
        os.close(self._input)
        self.listen("\0")
        os.close(self._output)
        done = ended(self._job, self._forks.wait(self._child))
        return replace(done, out=self.heard)


def ended(job: Job, code: int | None) -> Ended:
    """Read what a command printed and at which call its fault happened."""
    record = _record(job.slot)
    streams = [Path(job.desk, f"{name}{job.slot}") for name in ("out", "err")]
    out, err = (path.read_text(errors="replace") if path.exists() else "" for path in streams)
    where = f"{record.call.decode()} {record.path.decode(errors='replace')}".strip()
    return Ended(code=code, out=out, err=err, calls=record.count, hit=record.hit, where=where)


def new_modules(job: Job) -> list[str]:
    """Return the modules that a finished command imported."""
    return Path(job.desk, f"modules{job.slot}").read_text().split()


def _record(slot: int, *, is_cleared: bool = False) -> _Record:
    record = _Record.from_buffer(_shared, slot * ctypes.sizeof(_Record))
    if is_cleared:
        ctypes.memset(ctypes.addressof(record), 0, ctypes.sizeof(_Record))
    return record


def _work(job: Job) -> NoReturn:
    """Be the command."""
    code, known = 1, set(sys.modules)
    try:
        signal.alarm(_HANGS_S)
        _redirect(job)
        sys.argv = ["dgaal", *job.argv]
        library, plan = ctypes.CDLL(None), job.plan
        wide = ctypes.c_longlong
        library.month_set_clock(wide(job.wall_ns), wide(job.boot_ns), job.boot_file.encode())
        library.month_plan(
            job.root.encode(),
            ctypes.byref(_record(job.slot)),
            ctypes.c_long(plan.at),
            ACTIONS.index(plan.action),
            plan.error,
            wide(round(plan.jump_s * _SECOND_NS)),
            plan.denied.encode(),
        )
        from dgaal_cli.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:  # noqa: BLE001 - a child must never return into the simulation
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            names = sorted(set(sys.modules) - known)
            Path(job.desk, f"modules{job.slot}").write_text(" ".join(names))
        finally:
            os._exit(code)


def _redirect(job: Job) -> None:
    typed, *printed = (Path(job.desk, f"{name}{job.slot}") for name in ("in", "out", "err"))
    typed.write_text(job.typed)
    own = [os.open(typed, os.O_RDONLY)]
    own += [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for path in printed]
    if job.streams is not None:
        own[:2] = job.streams
    for number, descriptor in enumerate(own):
        os.dup2(descriptor, number)
    for descriptor in job.closes:
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    os.chdir(job.desk)


def shim_environment() -> dict[str, str]:
    """Build ``file_calls.c`` and return the environment that preloads it.

    Raises:
        RuntimeError: There is no C compiler, or it fails.
    """
    target = Path(tempfile.mkdtemp(prefix="dgaal-month-")) / "file_calls.so"
    source = Path(__file__).with_name("file_calls.c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"cannot build {source.name}: {error}") from error
    return {"LD_PRELOAD": str(target)}
