"""G3, G4, G19: many people label at once, also while others read; nothing lost, doubled or late."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_workspaces import DGAAL, make_store

Drive = Callable[..., Any]
PEOPLE = 8
SOUND = {"lost": 0, "extra": 0, "doubled": 0, "errors": 0, "problems": []}


def label(drive: Drive, path: Path, count: int, variant: str, *, thought: float = 0.0) -> Any:
    if not path.exists():
        make_store(path, count)
    return drive("many_labelers", path, PEOPLE, 10**9, variant, thought)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.deep)])
def test_eight_people_share_a_query_without_a_collision(drive: Drive, tmp_path: Path, count: int):
    report = label(drive, tmp_path / "labels.db", count, "sound")
    assert {key: report[key] for key in SOUND} == SOUND
    assert (report["acknowledged"], report["labels"], report["unlabeled"]) == (count, count, 0)
    assert report["worst_wait_s"] <= (2.0 if count == 10_000 else 4.0)  # CI's disks may stall


@pytest.mark.slow
@pytest.mark.parametrize("count", [120, pytest.param(300, marks=pytest.mark.deep)])
def test_people_at_their_own_pace_wait_for_nobody(drive: Drive, tmp_path: Path, count: int):
    report = label(drive, tmp_path / "labels.db", count, "sound", thought=0.5)
    assert {key: report[key] for key in SOUND} == SOUND
    assert report["acknowledged"] == count
    assert report["worst_wait_s"] <= (1.0 if count == 300 else 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.deep)])
def test_a_trainer_and_an_exporter_read_while_eight_label(drive: Drive, tmp_path: Path, count: int):
    (tmp_path / "dgaal.toml").write_text('version = 1\n[pool]\nsource = "pool"\n')
    path = tmp_path / "labels.db"
    make_store(path, count)
    exporting = subprocess.Popen(
        [
            *("bash", "-c", 'n=0; while "$@" -o "$0/$n.jsonl"; do n=$((n+1)); done'),
            *(str(tmp_path), *DGAAL, "-C", str(tmp_path), "-q", "labels", "export"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        report = label(drive, path, count, "reading")
        assert exporting.poll() is None, exporting.stderr.read()
    finally:
        os.killpg(exporting.pid, signal.SIGKILL)
        exporting.communicate()
    assert {key: report[key] for key in SOUND} == SOUND
    assert report["acknowledged"] == count
    assert report["worst_wait_s"] <= (2.0 if count == 4000 else 4.0)
    exports = sorted(tmp_path.glob("*.jsonl"), key=lambda export: int(export.stem))
    counts = [_labels(export) for export in exports]
    assert len(counts) > 1
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= count


@pytest.mark.parametrize(
    ("variant", "count", "is_caught"),
    [
        ("leaseless", 80, lambda report: report["doubled"] > 0),
        ("deferred", 80, lambda report: report["errors"] > 0),
        ("sleepy", 80, lambda report: report["worst_wait_s"] > 1.0),
        ("hoarding", 16, lambda report: report["worst_wait_s"] > 2.0),
    ],
    ids=["leaseless", "deferred", "sleepy", "hoarding"],
)
def test_control_broken_stores_are_caught(
    drive: Drive, tmp_path: Path, variant: str, count: int, is_caught: Callable[[Any], bool]
):
    assert is_caught(label(drive, tmp_path / "labels.db", count, variant))


def _labels(path: Path) -> int:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return sum(line["kind"] == "label" for line in lines)


def test_a_trainer_that_dies_is_reported_at_once(tmp_path: Path):
    """By the very object that the label terminal has; the process is a real one, killed."""
    from dgaal_cli.tui.trainer import Trainer

    states: list[Any] = []
    trainer = Trainer(
        lambda _: ["sleep", "600"], ["train"], before_query=list, on_change=states.append
    )
    trainer.start()
    end = time.monotonic() + 20
    while (process := trainer._process) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    killed = time.monotonic()
    while trainer.state.stage != "failed":
        assert time.monotonic() < killed + 5.0
        time.sleep(0.01)
    assert trainer.state.reason
