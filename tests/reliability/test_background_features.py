"""Features are computed while a person labels; the process ends with the session."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from label_workspaces import DGAAL, make_workspace
from onnx_models import image_model
from process_tree import descendants, remaining_after

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.events import Warned
from dgaal_cli.features.compute import configured_space
from dgaal_cli.features.writer import CacheWriter
from dgaal_cli.labeling.background_features import (
    NICENESS,
    compute_missing,
    features_in_background,
)
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.pool_rows import NOT_YET, count_missing
from dgaal_cli.store.open import open_store

NAMES = [f"{number:03d}.png" for number in range(60)]
LIMIT_S = 60.0


@pytest.fixture
def workspace(tmp_path):
    """Return a fresh workspace whose encoder is a tiny ONNX file."""
    root = make_workspace(tmp_path / "w", NAMES, side=20)
    (root / "labels.db").unlink()
    (root / "dgaal.toml").unlink()
    (root / "model.onnx").write_bytes(image_model())
    request = InitRequest(
        root=root,
        pool=str(root / "pool"),
        base=root,
        classes=("cat", "dog"),
        query_size=5,
        encoder="model.onnx",
    )
    return init(request).workspace


def missing(workspace):
    with open_store(workspace, read_only=True) as store:
        return count_missing(workspace, configuration(workspace), store.items())


def until(condition):
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def started(workspace, *options):
    """Start a session in line mode and wait for its first question."""
    process = subprocess.Popen(
        [*DGAAL, "-C", str(workspace.root), "label", "--plain", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    lines = []
    while not (lines and lines[-1].startswith("1. image")):
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    return process, lines


def end(process):
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.communicate()


@pytest.mark.slow
def test_session_computes_features_that_the_next_query_uses(workspace):
    process, lines = started(workspace)
    try:
        is_early = missing(workspace) == 0  # the machine was slow to ask
        assert is_early or any(NOT_YET in line for line in lines)
        until(lambda: missing(workspace) == 0)
        process.communicate("q\n", timeout=LIMIT_S)
        assert process.returncode == 0
    finally:
        end(process)
    with open_store(workspace) as store:
        store.close_query(0)
    warnings = []
    config = configuration(workspace, "method=maxherding")
    query(workspace, config, emit=lambda e: warnings.append(e) if isinstance(e, Warned) else None)
    assert warnings == []


PARENT = """
import os, sys, time
from pathlib import Path
from dgaal_cli.labeling import background_features
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.workspace import Workspace
background_features.__name__ = "endless"  # what the child runs
workspace = Workspace(Path(sys.argv[1]))
with background_features.features_in_background(workspace, configuration(workspace)):
    print("started", flush=True)
    time.sleep(60)
"""
"""A session whose computation takes a minute."""


def outliving(workspace, folder, number, *, watches=True):
    """End a session by a signal; return the processes that it leaves behind."""
    watch = "from dgaal_cli.parent import end_with_parent; end_with_parent()" if watches else ""
    (folder / "endless.py").write_text(f"import time\n{watch}\ntime.sleep(60)\n")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(workspace.root)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    running = {}
    try:
        assert parent.stdout.readline() == b"started\n"
        running = descendants(parent.pid)
        assert running
        parent.send_signal(number)
        parent.wait(LIMIT_S)
        return remaining_after(running, 10 if watches else 2)
    finally:
        parent.kill()
        parent.communicate()
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_computation_ends_with_a_killed_session(workspace, tmp_path, number):
    assert not outliving(workspace, tmp_path, number)


@pytest.mark.slow
def test_control_process_that_does_not_watch_its_parent_is_noticed(workspace, tmp_path):
    assert outliving(workspace, tmp_path, signal.SIGKILL, watches=False)


def test_session_that_ends_stops_the_computation(workspace):
    before = descendants(os.getpid())
    with features_in_background(workspace, configuration(workspace)):
        started_now = descendants(os.getpid()).keys() - before.keys()
        assert started_now
    assert not started_now & descendants(os.getpid()).keys()


def test_process_has_the_lowest_priority_and_leaves_a_core(workspace):
    code = (
        "import os; from dgaal_cli.labeling import background_features as b; b._give_way(); "
        "print(os.nice(0), len(os.sched_getaffinity(0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    cpus = len(os.sched_getaffinity(0))
    assert done.stdout.split() == [str(NICENESS), str(max(1, cpus - 1))]


def test_setting_switches_the_computation_off(workspace):
    before = descendants(os.getpid())
    with features_in_background(workspace, configuration(workspace, "label.features=false")):
        assert descendants(os.getpid()) == before


def test_known_features_are_not_read_again(workspace, monkeypatch):
    compute_missing(workspace)
    assert missing(workspace) == 0
    monkeypatch.setattr("dgaal_cli.features.compute.open_source", None)
    compute_missing(workspace)


def test_query_waits_for_the_process_that_computes(workspace):
    config = configuration(workspace, "method=maxherding")
    folder = workspace.cache_path / "features"
    stack, warnings = contextlib.ExitStack(), []
    stack.enter_context(CacheWriter(folder, configured_space(config)))

    def listen(event):
        if isinstance(event, Warned):
            warnings.append(event.message)
            stack.close()

    assert len(query(workspace, config, emit=listen).entries) == 5
    assert warnings == ["another process computes the features; waiting for it"]
