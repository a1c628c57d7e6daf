"""A hundred kills while scoring 5,000 files: the table is that of an untouched run, to the byte.

The real process with its decoder processes, killed without mercy at random moments: while it
starts, decodes, writes its journal, sorts, or renames the table.
"""

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sample_images import png

pytest.importorskip("torch")

FILES, KILLS, SEED = 5_000, 100, 20261121
LONGEST_S = 3.0
"""A run is killed after at most this long; whole ones take about as long."""

RUN = """
import sys
from pathlib import Path
import dgaal_cli.scoring.journal as journal
journal.FLUSH_S = 0.0  # a file a batch: more moments at which a kill can do harm
{sabotage}
from dgaal_cli.workflows.score import ScoreOptions, score
options = ScoreOptions(device="cpu", resume=True, features=Path(sys.argv[2]))
score("pool", artifact=Path("sampler.onnx"), base=Path.cwd(), output=Path(sys.argv[1]),
      options=options)
"""

FORGETFUL = """
def resume(self, source):
    for stored in self._stored():
        self._end = stored.end
        self._number += 1
    yield from ()
journal.Journal.resume = resume
"""
"""A resumption that skips what was done and loses its rows."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sealed_artifacts import sealed

    folder = tmp_path_factory.mktemp("killed")
    (folder / "sampler.onnx").write_bytes(sealed("sampler", "onnx"))
    (folder / "pool").mkdir()
    for number in range(FILES):
        data = png(number % 251) if number % 100 else b"no image"
        (folder / "pool" / f"{number:05d}.png").write_bytes(data)
    run(folder, "whole").wait()
    return folder


def run(place: Path, name: str, sabotage: str = "") -> subprocess.Popen[bytes]:
    code = RUN.format(sabotage=sabotage)
    return subprocess.Popen(
        [sys.executable, "-c", code, f"{name}.csv", f"{name}.npz"],
        cwd=place,
        stderr=subprocess.DEVNULL,
    )


def killed(place: Path, name: str, after_s: float, sabotage: str = "") -> bool:
    """Let a run go for so long; tell whether it had to be killed."""
    process = run(place, name, sabotage)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    assert process.returncode == 0
    return False


@pytest.mark.deep
def test_a_hundred_kills_change_no_byte(place: Path) -> None:
    generator = np.random.default_rng(SEED)
    whole, features = (place / "whole.csv").read_bytes(), (place / "whole.npz").read_bytes()
    kills = tables = 0
    while kills < KILLS or not tables:
        if killed(place, "t", float(generator.uniform(0.0, LONGEST_S))):
            kills += 1
            continue
        assert (place / "t.csv").read_bytes() == whole
        assert (place / "t.npz").read_bytes() == features
        (place / "t.csv").unlink()
        (place / "t.npz").unlink()
        tables += 1
    while killed(place, "t", 600.0):
        pass
    assert (place / "t.csv").read_bytes() == whole
    with (place / "t.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len({line["id"] for line in lines}) == len(lines) == FILES
    bad = [line["id"] for line in lines if line["status"] == "unreadable"]
    assert bad == [f"{number:05d}.png" for number in range(0, FILES, 100)]
    assert not [path.name for path in place.iterdir() if path.name.startswith(".")]
    assert tables >= 3


@pytest.mark.deep
def test_the_comparison_catches_a_resumption_that_loses_rows(place: Path) -> None:
    """Negative control."""
    folder = place / ".bad.csv.dgaal-score"
    process = run(place, "bad")
    while not (folder / "00000010.shard").exists():
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not killed(place, "bad", 600.0, FORGETFUL)
    assert (place / "bad.csv").read_bytes() != (place / "whole.csv").read_bytes()


@pytest.mark.deep
def test_decoders_of_a_killed_run_end_by_themselves(place: Path) -> None:
    process = run(place, "orphan")
    folder = place / ".orphan.csv.dgaal-score"
    while not (folder / "00000003.shard").exists():
        time.sleep(0.001)
    parent = f"{process.pid}"
    children = subprocess.run(
        ["ps", "--ppid", parent, "-o", "pid="], check=True, capture_output=True, text=True
    ).stdout.split()
    assert children
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}/cmdline").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
