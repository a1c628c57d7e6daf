"""The command line under torchrun: two processes train one round; a killed one loses only unsaved
steps.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from label_workspaces import DGAAL

pytestmark = pytest.mark.deep
SHORT = ("pretrain.epochs=0", "pretrain.min_steps=40", "classifier.steps=10", "coevolve.steps=10")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    init = ["init", "w", "--pool", "builtin:digits#test", "--preset", "tiny", "-q"]
    subprocess.run([*DGAAL, *init, "--labels-from-source"], cwd=tmp_path, check=True)
    return tmp_path / "w"


def start(workspace: Path, *more: str) -> subprocess.Popen[str]:
    settings = [part for text in (*SHORT, *more) for part in ("--set", text)]
    return subprocess.Popen(
        [*TORCHRUN, "-m", "dgaal_cli", "-C", str(workspace), "train", *settings],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_train_one_round(workspace: Path):
    process = start(workspace)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert out.count("round 0: 500 labels") == 1  # only process 0 prints
    record = json.loads((workspace / "rounds" / "000" / "run.json").read_text())
    assert (record["processes"], record["bit_exact"]["holds"]) == (2, True)


def test_same_command_resumes_after_a_killed_process(workspace: Path):
    process = start(workspace, "pretrain.min_steps=100000")
    progress = workspace / "rounds" / "000" / "progress"
    end = time.monotonic() + 240
    while not progress.is_dir() and time.monotonic() < end:
        time.sleep(0.2)
    os.kill(worker(process.pid, rank=1), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "another process of this training ended in round 0, learning the pool" in errors
    again = start(workspace, "pretrain.min_steps=100000")
    assert again.stderr is not None
    lines = iter(again.stderr.readline, "")
    assert any("resumed at step" in line for line in lines)
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=120)


def worker(launcher: int, *, rank: int) -> int:
    """Return the process of ``rank`` among the launcher's children."""
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if f"RANK={rank}".encode() in environment:
            return int(child)
    raise AssertionError("the launcher has no such child")
