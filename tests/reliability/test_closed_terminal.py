"""A terminal that is closed while a training runs ends it cleanly, and it can be resumed."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from label_workspaces import DGAAL

STEPS = 200_000
pytestmark = pytest.mark.slow

# As a shell does: only the first process of a terminal gets SIGHUP, and passes it on.
LEADER = """
import signal, subprocess, sys, time
training = subprocess.Popen(sys.argv[2:])
def pass_on(number, frame):
    time.sleep(0.5)
    training.send_signal(number)
signal.signal(signal.SIGHUP, pass_on)
open(sys.argv[1], "w").write(str(training.wait()))
"""
DEAF = """
import signal
real = signal.signal
signal.signal = lambda number, handler: number == signal.SIGHUP or real(number, handler)
from dgaal_cli.cli import main
main()
"""
"""The program as if it did not handle SIGHUP."""


def dgaal(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*DGAAL, *arguments], cwd=root, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def close_terminal_of_training(root: Path, program: list[str]) -> int:
    """Train in a terminal, close it in the middle, and return the training's exit code."""
    options = ("--set", f"classifier.steps={STEPS}", "--threads", "1", "--device", "cpu")
    code = root / "code.txt"
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(root)
        command = [sys.executable, "-c", LEADER, str(code), *program, "train", *options]
        os.execvp(command[0], command)
    output, end = b"", time.monotonic() + 120
    while not re.search(rb"[1-9]\d*/%d" % STEPS, output):
        assert time.monotonic() < end, output
        if select.select([terminal], [], [], 1.0)[0]:
            output += os.read(terminal, 1 << 16)
    os.close(terminal)
    os.waitpid(process, 0)
    return int(code.read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    options = ("--preset", "tiny", "--method", "margin", "--labels-from-source", "-q")
    dgaal(tmp_path, "init", "--pool", "builtin:digits#test", *options)
    return tmp_path


def test_training_in_a_closed_terminal_saves_its_state_and_resumes(root):
    assert close_terminal_of_training(root, DGAAL) == 128 + signal.SIGHUP
    assert "was interrupted and can be resumed" in dgaal(root, "status")
    assert (root / "rounds" / "000").is_dir()


def test_control_training_without_handler_is_caught(root):
    assert close_terminal_of_training(root, [sys.executable, "-c", DEAF]) == -signal.SIGHUP
