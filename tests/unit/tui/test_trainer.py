"""The training process of the terminal: progress, failure, cancel and the open query."""

import os
import re
import sys
import time

import pytest

from dgaal_cli.events import (
    CheckpointSaved,
    PhaseStarted,
    QueryChosen,
    RoundStarted,
    RoundTrained,
    StepDone,
    Warned,
    encode,
)
from dgaal_cli.tui.trainer import Trainer, TrainingState, command_for, fold

EVENTS = [
    RoundStarted(round=4, method="dgaal", labels=80, pool=1000, device="cpu"),
    PhaseStarted(phase="fit", title="task model", position=2, count=4, steps=50),
    StepDone(phase="fit", step=25, steps=50, rate=10.0, left_s=7.0, losses={"loss": 0.5}),
    CheckpointSaved(phase="fit", step=25),
    Warned(message="one class has a single label"),
    RoundTrained(round=4, labels=80, accuracy=0.9, measured_on="test", seconds=9.0),
]


def script(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(["import sys, time, os, signal", *lines])]


def printing(*events) -> list[str]:
    return [f"sys.stdout.buffer.write({encode(e)!r} + b'\\n'); sys.stdout.flush()" for e in events]


class Run:
    """A trainer that runs fake scripts; records its states."""

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self.states: list[TrainingState] = []
        self.closed = 0
        self.trainer = Trainer(
            commands.__getitem__,
            list(commands),
            before_query=self._close,
            on_change=self.states.append,
        )

    def _close(self) -> None:
        self.closed += 1

    def wait_for(self, stage: str, timeout: float = 20.0) -> TrainingState:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.trainer.state.stage == stage:
                return self.trainer.state
            time.sleep(0.01)
        raise AssertionError(f"still {self.trainer.state}")


def test_fold_stores_the_values_of_each_event():
    state = TrainingState()
    for event in EVENTS:
        state = fold(state, event)
    assert (state.round, state.labels, state.device) == (4, 80, "cpu")
    assert (state.title, state.position, state.count) == ("task model", 2, 4)
    assert (state.done, state.steps, state.rate, state.losses) == (25, 50, 10.0, {"loss": 0.5})
    assert state.warning == "one class has a single label"
    assert state.accuracy == 0.9
    assert state.share == pytest.approx((1 + 0.5) / 4)


def test_query_is_closed_between_train_and_query():
    chosen = QueryChosen(round=5, size=24, synthetic=4, strategy="dgaal")
    run = Run({"train": script(*printing(*EVENTS)), "query": script(*printing(chosen))})
    run.trainer.start()
    state = run.wait_for("done")
    assert state.accuracy == 0.9
    assert state.chosen == 24
    assert run.closed == 1


def test_other_output_on_stdout_is_ignored():
    run = Run({"train": script("print('Downloading...'); print('{')", *printing(*EVENTS))})
    run.trainer.start()
    assert run.wait_for("done").round == 4


def test_failure_shows_its_reason_and_leaves_the_query_open():
    failing = script("sys.stderr.write('dgaal: only one class\\x1b[2J has labels\\n'); sys.exit(2)")
    run = Run({"train": failing, "query": script()})
    run.trainer.start()
    state = run.wait_for("failed")
    assert state.reason == "dgaal: only one class\\u{1b}[2J has labels"
    assert run.closed == 0


def test_silent_failure_is_reported_by_its_exit_code():
    run = Run({"train": script("os._exit(9)")})
    run.trainer.start()
    assert "9" in run.wait_for("failed").reason


@pytest.mark.parametrize(
    ("number", "message"),
    [("KILL", r"was killed \(SIGKILL\), as .* memory"), ("SEGV", r"crashed \(SIGSEGV\)")],
)
def test_killed_process_is_reported_by_its_signal(number, message):
    statement = "sys.stderr.write('step 7\\n'); sys.stderr.flush()"
    run = Run({"train": script(statement, f"os.kill(os.getpid(), signal.SIG{number})")})
    run.trainer.start()
    assert re.search(f"step 7\n.*{message}", run.wait_for("failed").reason)


def test_share_stays_at_one_during_the_query():
    lines = [*printing(*EVENTS)]
    run = Run({"train": script(*lines), "query": script()})
    run.trainer.start()
    run.wait_for("done")
    assert {state.share for state in run.states if state.step == "query"} == {1.0}
    assert TrainingState(step="query").share == 0.0


def test_missing_program_is_reported_as_a_failure():
    run = Run({"train": ["/nonexistent/dgaal"]})
    run.trainer.start()
    assert "nonexistent" in run.wait_for("failed").reason


def test_exit_code_for_unreadable_inputs_is_not_a_failure():
    run = Run({"train": script("sys.exit(3)")})
    run.trainer.start()
    run.wait_for("done")


def test_cancel_waits_until_the_state_is_saved(tmp_path):
    saved = tmp_path / "saved"
    terminating_script = script(
        f"def stop(*_): open({str(saved)!r}, 'w').close(); sys.exit(143)",
        "signal.signal(signal.SIGTERM, stop)",
        *printing(EVENTS[0]),
        "time.sleep(60)",
    )
    run = Run({"train": terminating_script, "query": script()})
    run.trainer.start()
    while run.trainer.state.round is None:
        time.sleep(0.01)
    run.trainer.cancel()
    run.wait_for("canceled")
    assert saved.exists()
    assert run.closed == 0
    assert "canceling" in [s.stage for s in run.states]


def test_stop_kills_a_process_that_ignores_sigterm():
    ignoring_script = script(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)", *printing(EVENTS[0]), "time.sleep(60)"
    )
    run = Run({"train": ignoring_script})
    run.trainer.start()
    while run.trainer.state.round is None:
        time.sleep(0.01)
    process = run.trainer._process
    assert process is not None
    run.trainer.stop(timeout_s=0.3)
    assert process.poll() is not None


def test_process_runs_with_lower_priority():
    probe = script(
        "print(os.getpgid(0) == os.getpid())",
        "time.sleep(.3)",
        "sys.exit(os.getpriority(os.PRIO_PROCESS, 0))",
    )
    run = Run({"train": probe})
    run.trainer.start()
    assert str(os.getpriority(os.PRIO_PROCESS, 0) + 10) in run.wait_for("failed").reason


def test_command_for_includes_the_workspace(tmp_path):
    command = command_for(tmp_path)("train")
    assert command[1:] == ["-m", "dgaal_cli", "-C", str(tmp_path), "train", "--events"]
