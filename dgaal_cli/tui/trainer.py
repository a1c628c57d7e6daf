"""Training and export as subprocesses: commands in sequence, JSON lines, cancel by signal.

A crash of one process does not harm the other: labels are committed before training starts, and the
training process saves its own state.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from dgaal_cli.escaping import show
from dgaal_cli.events import (
    AnyEvent,
    PhaseStarted,
    QueryChosen,
    RoundStarted,
    RoundTrained,
    StepDone,
    Warned,
    decode,
)
from dgaal_cli.interruption import signal_name
from dgaal_cli.parent import CHILD

RECENT_LOSSES = 24
"""Number of recent values kept of each loss."""
LOG_LINES = 500
"""Number of last error lines kept of a process, shown if it fails."""
NICENESS = 10
"""Lower priority than the terminal's."""

QUIET_STEPS = ("export", "outlook")
"""Steps without events; exit code 3, unreadable inputs, is a failure of them."""

Stage = Literal["running", "canceling", "done", "failed", "canceled"]
Step = str
"""``train``, ``query``, ``query --synthetic N``, ``export`` or ``outlook``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """State of a run."""

    stage: Stage = "running"
    step: Step = "train"
    round: int | None = None
    labels: int = 0
    held_out_labels: int = 0
    """Labels that only measure the result."""
    device: str = ""
    title: str = "starting"
    position: int = 0
    count: int = 0
    done: int = 0
    steps: int = 0
    rate: float = 0.0
    left_s: float | None = None
    losses: dict[str, float] = field(default_factory=dict[str, float])
    trails: dict[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    """Recent values of each loss of the phase, oldest first."""
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    """Health metrics of the trained sampler."""
    is_trained: bool = False
    """The round is trained; choosing the next images is left."""
    accuracy: float | None = None
    measured_on: str = ""
    warning: str = ""
    chosen: int | None = None
    reason: str = ""
    """Why it failed: output of the process."""

    @property
    def is_asking(self) -> bool:
        """Whether the step chooses the next images."""
        return self.step.startswith("query")

    @property
    def share(self) -> float:
        """Completed fraction of all phases, 0..1."""
        if self.stage == "done" or (self.is_trained and self.is_asking):
            return 1.0
        inside = self.done / self.steps if self.steps else 0.0
        return (max(0, self.position - 1) + inside) / self.count if self.count else inside


def fold(state: TrainingState, event: AnyEvent) -> TrainingState:
    """Return the state after one event."""
    changes: dict[str, Any] = {}
    match event:
        case RoundStarted():
            changes = {"round": event.round, "labels": event.labels, "device": event.device}
            changes["held_out_labels"] = event.held_out_labels
        case PhaseStarted():
            changes = {"title": event.title, "position": event.position, "count": event.count}
            changes |= {"done": 0, "steps": event.steps, "losses": {}, "trails": {}}
        case StepDone():
            changes = {"done": event.step, "steps": event.steps, "rate": event.rate}
            changes |= {"left_s": event.left_s, "losses": dict(event.losses)}
            changes["trails"] = {
                name: (*state.trails.get(name, ()), value)[-RECENT_LOSSES:]
                for name, value in event.losses.items()
            }
        case Warned():
            changes = {"warning": event.message}
        case RoundTrained():
            changes = {"accuracy": event.accuracy, "measured_on": event.measured_on}
            changes |= {"left_s": None, "metrics": dict(event.metrics), "is_trained": True}
        case QueryChosen():
            changes = {"chosen": event.size}
        case _:
            pass
    return dataclasses.replace(state, **changes)


def command_for(root: Path) -> Callable[[Step], list[str]]:
    """Return the function that returns the command line of a step."""

    def command(step: Step) -> list[str]:
        if step == "outlook":
            return [sys.executable, "-m", "dgaal_cli.labeling.pool_predictions", str(root)]
        dgaal = [sys.executable, "-m", "dgaal_cli", "-C", str(root)]
        if step == "export":
            return [*dgaal, "-q", "export", "--onnx"]
        return [*dgaal, *step.split(" "), "--events"]

    return command


class Trainer:
    """Runs the steps in its own thread; calls ``on_change`` on each change."""

    def __init__(
        self,
        command: Callable[[Step], list[str]],
        steps: Sequence[Step],
        *,
        on_change: Callable[[TrainingState], None],
        before_query: Callable[[], None] | None = None,
        before_start: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a run.

        Args:
            command: Returns the command line of a step.
            steps: Usually train, then query.
            on_change: Called in the trainer's thread.
            before_query: Called in the trainer's thread after a successful training: closes the
                open query, which stays open if training fails or is canceled.
            before_start: Called in the trainer's thread before the first step.
            clock: Current time in seconds.
        """
        self._clock = clock
        self._started_at = clock()
        self._before_start = before_start
        self._command = command
        self._steps = tuple(steps)
        self._before_query = before_query
        self._on_change = on_change
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_canceled = False
        self.state = TrainingState(step=self._steps[0])
        self._thread = threading.Thread(target=self._run, name="trainer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._started_at = self._clock()
        self._thread.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started_at

    @property
    def is_running(self) -> bool:
        """Whether the steps are running."""
        return self._thread.is_alive() and self.state.stage in ("running", "canceling")

    def cancel(self) -> None:
        """Request that the process saves its state and stops; a second call kills it."""
        with self._lock:
            is_second, self._is_canceled = self._is_canceled, True
            process = self._process
        if process and process.poll() is None:
            _signal_group(process, signal.SIGKILL if is_second else signal.SIGTERM)
        if self.state.stage == "running":
            self._change(dataclasses.replace(self.state, stage="canceling"))

    def stop(self, timeout_s: float = 20.0) -> None:
        """Cancel and wait; kill the process if it does not stop."""
        if not self._thread.is_alive():
            return
        self.cancel()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self.cancel()
            self._thread.join(5.0)

    def _run(self) -> None:
        try:
            if self._before_start:
                self._before_start()
            for step in self._steps:
                if step.startswith("query") and self._before_query:
                    self._before_query()
                if not self._run_step(step):
                    return
            self._change(dataclasses.replace(self.state, stage="done", left_s=None))
        except Exception as error:  # noqa: BLE001 - report all errors to the operator
            self._change(dataclasses.replace(self.state, stage="failed", reason=show(str(error))))

    def _run_step(self, step: Step) -> bool:
        fresh = dataclasses.replace(
            self.state, step=step, position=0, count=0, done=0, steps=0, title="starting"
        )
        self._change(fresh)
        process = self._spawn(step)
        if process is None:
            self._change(dataclasses.replace(self.state, stage="canceled"))
            return False
        lines: deque[str] = deque(maxlen=LOG_LINES)
        errors = threading.Thread(target=_collect, args=(process.stderr, lines), daemon=True)
        errors.start()
        with contextlib.ExitStack() as streams:
            for stream in filter(None, (process.stdout, process.stdin)):
                streams.enter_context(stream)
            for line in process.stdout or ():
                self._handle_line(line)
            process.wait()
            errors.join(2.0)
            # Do not close a stream that another thread reads; a child process may hold it open.
            if process.stderr is not None and not errors.is_alive():
                streams.enter_context(process.stderr)
        with self._lock:
            is_canceled = self._is_canceled
        if is_canceled:
            self._change(dataclasses.replace(self.state, stage="canceled"))
            return False
        if process.returncode == 0 or (process.returncode == 3 and step not in QUIET_STEPS):
            return True
        reason = "\n".join([*lines, *_exit_reason(process.returncode, is_silent=not lines)])
        self._change(dataclasses.replace(self.state, stage="failed", reason=reason))
        return False

    def _spawn(self, step: Step) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._is_canceled:
                return None
            process = subprocess.Popen(  # noqa: S603 - own command
                self._command(step),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal must not reach it
                env={**os.environ, **CHILD, "PYTHONUNBUFFERED": "1"},
            )
            self._process = process
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process

    def _handle_line(self, line: bytes) -> None:
        try:
            event = decode(line)
        except msgspec.DecodeError:
            return  # output of a library on stdout
        self._change(fold(self.state, event))

    def _change(self, state: TrainingState) -> None:
        with self._lock:
            if self._is_canceled and state.stage == "running":
                state = dataclasses.replace(state, stage="canceling")
        self.state = state
        self._on_change(state)


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _exit_reason(code: int, *, is_silent: bool) -> list[str]:
    """Describe the end of a process that was killed or wrote no error."""
    if code >= 0:
        text = f"the process ended with exit code {code} without an error message"
        return [text] if is_silent else []
    if -code == signal.SIGKILL:
        return ["the process was killed (SIGKILL), as the system does when memory runs out"]
    return [f"the process was terminated or crashed ({signal_name(-code)})"]


def _collect(stream: IO[bytes] | None, lines: "deque[str]") -> None:
    for line in stream or ():
        text = show(line.decode(errors="replace").rstrip())
        if text:
            lines.append(text)
