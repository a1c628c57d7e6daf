"""G1: kill -9 while labeling loses no acknowledged answer, doubles none, damages nothing.

A kill cannot reveal a missing sync; ``test_power_cut`` tests that.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_workspaces import DGAAL, make_store, make_workspace

from dgaal_cli.store.open import open_store

Drive = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [150, pytest.param(1000, marks=pytest.mark.deep)])
def test_killed_labeler_loses_and_doubles_no_acknowledged_answer(
    drive: Drive, tmp_path: Path, kills: int
):
    make_store(tmp_path / "labels.db", 8 * kills)
    report = drive("kill_labeling", tmp_path / "labels.db", kills, "sound")
    assert report["acknowledged"] > kills
    assert (report["lost"], report["doubled"], report["problems"]) == (0, 0, [])
    assert list(tmp_path.glob("**/.*.tmp")) == []


def test_control_acknowledging_before_the_commit_is_caught(drive: Drive, tmp_path: Path):
    make_store(tmp_path / "labels.db", 400)
    assert drive("kill_labeling", tmp_path / "labels.db", 30, "early")["lost"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.deep)])
def test_killed_plain_labeling_loses_no_acknowledged_answer(tmp_path: Path, seed: int, kills: int):
    root = make_workspace(tmp_path, [f"{n:04d}.png" for n in range(kills * 8)])
    rng = random.Random(seed)
    acknowledged = 0
    for _ in range(kills):
        child = subprocess.Popen(
            [*DGAAL, "-C", str(root), "label", "--plain", "--annotator", "sam"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        child.stdin.write("cat\ndog\n" * 4)
        child.stdin.flush()
        count, lines = rng.randrange(1, 6), []
        while sum(line.startswith("saved:") for line in lines) < count:
            lines.append(child.stdout.readline())
            assert lines[-1], "".join(lines)
        time.sleep(rng.random() * 0.01)
        child.kill()
        # communicate() would skip the lines that readline() has buffered
        lines += child.stdout.readlines()
        child.wait()
        child.stdin.close()
        child.stdout.close()
        acknowledged += sum(line.startswith("saved:") for line in lines)
    with open_store(root / "labels.db") as store:
        events = list(store.events())
        assert acknowledged <= len(events) <= acknowledged + kills
        assert len({event.item_id for event in events}) == len(events)
        assert store.check() == []


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.deep)])
def test_label_screen_shows_saved_only_after_the_commit(tmp_path: Path, seed: int, kills: int):
    pexpect = pytest.importorskip("pexpect")
    root = make_workspace(tmp_path, [f"{n:04d}.png" for n in range(kills * 6)])
    rng = random.Random(seed)
    shown = 0
    for _ in range(kills):
        child = pexpect.spawn(
            DGAAL[0],
            [*DGAAL[1:], "-C", str(root), "label", "--annotator", "sam"],
            env={"TERM": "xterm-256color", "COLORTERM": "truecolor", "PATH": "/usr/bin:/bin"},
            dimensions=(24, 80),
            timeout=60,
            encoding="utf-8",
        )
        try:
            child.expect("▀")
            for _ in range(rng.randrange(1, 4)):
                _until_quiet(child)  # keys count only after the image has been shown for some time
                before = _stored(root)
                child.send("1")
                child.expect("✔ saved|✔ 1 cat")
                assert _stored(root) == before + 1
                shown += 1
            child.send("2")
            time.sleep(rng.random() * 0.05)
        finally:
            child.kill(signal.SIGKILL)
            child.close(force=True)
    with open_store(root / "labels.db") as store:
        events = list(store.events())
        assert shown <= len(events) <= shown + kills
        assert len({event.item_id for event in events}) == len(events)
        assert store.check() == []


def _until_quiet(child: Any) -> None:
    import pexpect

    while True:
        try:
            child.read_nonblocking(1 << 16, timeout=0.4)
        except pexpect.TIMEOUT:
            break
    child.buffer = ""


def _stored(root: Path) -> int:
    with open_store(root / "labels.db", read_only=True) as store:
        return store.watermark()
