"""G3, G4, G19: many people label at once, also while others read; no label is lost or late."""

import contextlib
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

from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Query, QueryEntry

Drive = Callable[..., Any]
PEOPLE = 8
SOUND = {"lost": 0, "extra": 0, "doubled": 0, "errors": 0, "problems": []}


def label(drive: Drive, path: Path, count: int, variant: str, *, think_s: float = 0.0) -> Any:
    if not path.exists():
        make_store(path, count)
    return drive("many_labelers", path, PEOPLE, 10**9, variant, think_s)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.deep)])
def test_eight_labelers_share_a_query_without_collisions(drive: Drive, tmp_path: Path, count: int):
    report = label(drive, tmp_path / "labels.db", count, "sound")
    assert {key: report[key] for key in SOUND} == SOUND
    assert (report["acknowledged"], report["labels"], report["unlabeled"]) == (count, count, 0)
    assert report["worst_wait_s"] <= (2.0 if count == 10_000 else 4.0)  # CI's disks may stall


@pytest.mark.slow
@pytest.mark.parametrize("count", [120, pytest.param(300, marks=pytest.mark.deep)])
def test_labelers_with_pauses_do_not_wait_for_each_other(drive: Drive, tmp_path: Path, count: int):
    report = label(drive, tmp_path / "labels.db", count, "sound", think_s=0.5)
    assert {key: report[key] for key in SOUND} == SOUND
    assert report["acknowledged"] == count
    assert report["worst_wait_s"] <= (1.0 if count == 300 else 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.deep)])
def test_training_and_export_read_while_eight_people_label(
    drive: Drive, tmp_path: Path, count: int
):
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
        with contextlib.suppress(ProcessLookupError):
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


def init_digits(root: Path, *, labels: int) -> None:
    """Make a workspace of 500 digits with some labels; the query asks all other images."""
    from sklearn.datasets import load_digits

    truth = load_digits().target[1297:]
    lines = [f"test/{number:06d},{truth[number]}\n" for number in range(labels)]
    table = root.with_name("some.csv")
    table.write_text("file_name,label\n" + "".join(lines))
    classes = ",".join("0123456789")
    pool = ("--pool", "builtin:digits#test", "--preset", "tiny")
    dgaal = [*DGAAL, "-q"]
    subprocess.run([*dgaal, "init", str(root), *pool, "--classes", classes], check=True)
    subprocess.run([*dgaal, "-C", str(root), "labels", "import", str(table)], check=True)
    with open_store(root / "labels.db") as store:
        rest = [item.item_id for item in store.items()][labels:]
        entries = tuple(
            QueryEntry(item_id=item_id, rank=rank) for rank, item_id in enumerate(rest, start=1)
        )
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))


@pytest.mark.slow
def test_round_trains_while_eight_people_label(drive: Drive, tmp_path: Path):
    """The program trains on the labels at its start and then closes the query."""
    root, labels = tmp_path / "w", 30
    init_digits(root, labels=labels)
    steps = ("pretrain.min_steps=4", "pretrain.epochs=0", "coevolve.steps=6", "classifier.steps=6")
    sets = [option for step in steps for option in ("--set", step)]
    training = subprocess.Popen(
        [*DGAAL, "-C", str(root), "-q", "train", "--device", "cpu", "--threads", "1", *sets],
        stderr=subprocess.PIPE,
        text=True,
    )
    # The labelers have work for half a minute; none is left after the query is closed.
    report = label(drive, root / "labels.db", 0, "sound", think_s=0.5)
    assert training.wait(300) == 0, training.stderr.read()
    training.communicate()
    assert {key: report[key] for key in SOUND} == {**SOUND, "extra": labels}
    run = json.loads((root / "rounds/001/run.json").read_text())
    with open_store(root / "labels.db") as store:
        assert store.open_query() is None
        assert store.check() == []
        assert len(store.labels()) == labels + report["acknowledged"]
        assert len(store.labels(watermark=run["watermark"])) == run["labels"]
        assert labels <= run["watermark"] < store.watermark()  # people labeled meanwhile


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


def test_killed_trainer_is_reported_at_once(tmp_path: Path):
    """The label terminal's ``Trainer`` reports the death of a real process."""
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
