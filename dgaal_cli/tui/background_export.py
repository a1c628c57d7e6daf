"""Export and predictions after a training, in background processes during labeling.

They are optional: without them the terminal shows the guesses of the query, and no learner.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from dgaal_cli.tui.trainer import NICENESS, Step


class OnDone(Protocol):
    """Callback at the end of the export, called in its thread."""

    def __call__(self, *, is_done: bool, reason: str) -> None:
        """Handle the end; ``reason`` is the last output line of a failed process."""
        ...


class BackgroundExport:
    """Runs steps in sequence without output; stops at the first failure."""

    def __init__(
        self, command: Callable[[Step], list[str]], steps: Sequence[Step], on_done: OnDone
    ) -> None:
        self._command = command
        self._steps = tuple(steps)
        self._on_done = on_done
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_stopped = False
        self._reason = ""
        self._thread = threading.Thread(target=self._run, name="background-export", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the steps are still running."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop the process and wait; its files are written atomically."""
        with self._lock:
            self._is_stopped = True
            process = self._process
        if process is not None and process.poll() is None:
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
            _signal(process, signal.SIGKILL)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        is_done = all(self._run_step(step) for step in self._steps)
        with self._lock:
            is_stopped = self._is_stopped
        if not is_stopped:
            self._on_done(is_done=is_done, reason=self._reason)

    def _run_step(self, step: Step) -> bool:
        with self._lock:
            if self._is_stopped:
                return False
            try:
                process = subprocess.Popen(  # noqa: S603 - own command
                    self._command(step),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except (OSError, KeyError) as error:
                self._reason = repr(error)
                return False
            self._process = process
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        lines = process.communicate()[1].decode(errors="replace").split("\n")
        self._reason = next((line for line in reversed(lines) if line.strip()), "")
        return process.returncode == 0


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
