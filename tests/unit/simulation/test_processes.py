"""Trials in several processes, and resuming after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_simulations import CONFIG, small_plan, without_times, write_pool

from dgaal_cli.api.simulate import simulate
from dgaal_cli.simulation.records import read_records

SETTINGS = [
    f"--set={section}.{key}={value}"
    for section, values in CONFIG.items()
    if isinstance(values, dict)
    for key, value in values.items()
]


def records_of(folder):
    return {
        str(file.relative_to(folder)): [without_times(r) for r in read_records(file)]
        for file in sorted(folder.glob("trials/*/*.jsonl"))
    }


@pytest.mark.slow
def test_two_processes_write_the_same_records_as_one(tmp_path):
    path = write_pool(tmp_path / "pool.npz")
    plan = small_plan(path, "random", "dgaal", rounds=1)
    lines = []
    for jobs in (1, 2):
        simulate(plan, tmp_path / str(jobs), base=tmp_path, jobs=jobs, on_message=lines.append)
    one, two = records_of(tmp_path / "1"), records_of(tmp_path / "2")
    assert len(one) == 4
    assert one == two
    assert any(line.startswith("4/4") for line in lines)


def children_of(process_id):
    """Return ids of all descendant processes, read from /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process_id:
            child = int(path.parent.name)
            found += [child, *children_of(child)]
    return found


def is_alive(process_id):
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_end_with_killed_parent_and_next_run_resumes(tmp_path):
    path = write_pool(tmp_path / "pool.npz")
    command = [sys.executable, "-m", "dgaal_cli", "simulate", f"{path}#train", "--test"]
    command += [f"{path}#test", "--methods", "random,dgaal", "--seeds", "3", "--rounds", "1"]
    command += ["--initial", "8", "--query-size", "6", "-o", str(tmp_path / "out"), *SETTINGS]
    running = subprocess.Popen(
        [*command, "--jobs", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 90
    while not list((tmp_path / "out").glob("trials/*/*.jsonl")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = children_of(running.pid)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kept = {f: f.stat().st_mtime_ns for f in (tmp_path / "out").glob("trials/*/*.jsonl")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert "random" in done.stdout
    assert all(f.stat().st_mtime_ns == before for f, before in kept.items())
    assert len(records_of(tmp_path / "out")) == 6
    assert not list((tmp_path / "out").glob("trials/*/*.part"))
