"""Creation of a workspace is exclusive, and a killed one leaves nothing in the way of the next."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_workspaces import DGAAL
from PIL import Image

from dgaal_cli.store.open import open_store

Drive = Callable[..., Any]


def make_pool(folder: Path, count: int) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(1)
    for number in range(count):
        pixels = generator.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05d}.png")
    return folder


def init(root: Path, pool: Path, classes: str) -> list[str]:
    return [*DGAAL, "-q", "init", str(root), "--pool", str(pool), "--classes", classes]


def test_second_init_of_a_folder_waits_for_nothing_and_destroys_nothing(tmp_path: Path):
    """The first ``init`` still surveys its pool when another one makes the same folder."""
    large, small = make_pool(tmp_path / "large", 1500), make_pool(tmp_path / "small", 3)
    root = tmp_path / "w"
    first = subprocess.Popen(init(root, large, "x,y"), stderr=subprocess.PIPE, text=True)
    lock = root / ".locks" / "init.lock"
    while not lock.exists() or not lock.read_text():
        assert first.poll() is None, "the first one ended before the second began"
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)  # it has the folder, and its survey takes long
    second = subprocess.run(init(root, small, "a,b"), capture_output=True, text=True, check=False)
    assert second.returncode == 6
    assert f"process {first.pid} (creating it)" in second.stderr
    first.send_signal(signal.SIGCONT)
    assert first.wait(60) == 0, first.stderr.read()
    first.communicate()
    with open_store(root / "labels.db") as store:
        assert [record.name for record in store.classes()] == ["x", "y"]
        assert store.counts().items == 1500
    third = subprocess.run(init(root, small, "a,b"), capture_output=True, text=True, check=False)
    assert third.returncode == 2
    assert "is a workspace already" in third.stderr


def test_labels_without_dgaal_toml_are_never_replaced(tmp_path: Path):
    pool, root = make_pool(tmp_path / "pool", 3), tmp_path / "w"
    subprocess.run(init(root, pool, "a,b"), check=True)
    (tmp_path / "labels.csv").write_text("file_name,label\n00000.png,a\n")
    imported = ["labels", "import", str(tmp_path / "labels.csv")]
    subprocess.run([*DGAAL, "-q", "-C", str(root), *imported], check=True)
    before = (root / "labels.db").read_bytes()
    (root / "dgaal.toml").unlink()
    again = subprocess.run(init(root, pool, "a,b"), capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "put dgaal.toml back" in again.stderr
    assert (root / "labels.db").read_bytes() == before


@pytest.mark.slow
def test_init_killed_at_any_call_leaves_nothing_in_the_way(drive: Drive, tmp_path: Path):
    report = drive("kill_init", make_pool(tmp_path / "pool", 3), "sound")
    assert report["kills"] > 20
    assert set(report["found"]) <= {
        "none, then done",
        "workspace, then a workspace already",
    }


@pytest.mark.slow
def test_control_store_without_its_mark_blocks_the_next_init(drive: Drive, tmp_path: Path):
    report = drive("kill_init", make_pool(tmp_path / "pool", 3), "unmarked")
    assert report["found"].get("none, then refused", 0) > 0
