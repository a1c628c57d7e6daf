"""G7: a scoring that is killed and resumed writes the same bytes as an uninterrupted one.

The real process with its decoder processes is killed at random moments: while it starts, decodes,
writes its journal, sorts, or renames the table.
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

FILES = 5_000

RUN = """
import sys
from pathlib import Path
import dgaal_cli.scoring.journal as journal
journal.FLUSH_S = 0.0  # one file per batch: more moments at which a kill can do harm
{sabotage}
from dgaal_cli.api.score import ScoreOptions, score
options = ScoreOptions(device="cpu", resume=True, features=Path(sys.argv[2]))
score("pool", artifact=Path("sampler.onnx"), base=Path.cwd(), output=Path(sys.argv[1]),
      options=options)
"""

FORGETFUL = """
read = journal.Journal.resume
def resume(self, source):
    list(read(self, source))
    yield from ()
journal.Journal.resume = resume
"""
"""A resume that skips the stored batches and loses their rows."""


@pytest.fixture(scope="module")
def full_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the full pool."""
    return make_scored_pool(tmp_path_factory.mktemp("killed"), FILES)


@pytest.fixture(scope="module")
def small_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tenth of the pool."""
    return make_scored_pool(tmp_path_factory.mktemp("small"), FILES // 10)


def make_scored_pool(folder: Path, files: int) -> Path:
    from sealed_artifacts import sealed

    (folder / "sampler.onnx").write_bytes(sealed("sampler", "onnx"))
    (folder / "pool").mkdir()
    for number in range(files):
        data = png(number % 251) if number % 100 else b"no image"
        (folder / "pool" / f"{number:05d}.png").write_bytes(data)
    began = time.perf_counter()
    assert run(folder, "whole").wait() == 0
    (folder / "seconds").write_text(f"{time.perf_counter() - began}")
    return folder


def run(folder: Path, name: str, sabotage: str = "") -> subprocess.Popen[bytes]:
    code = RUN.format(sabotage=sabotage)
    return subprocess.Popen(
        [sys.executable, "-c", code, f"{name}.csv", f"{name}.npz"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )


def kill_after(folder: Path, name: str, after_s: float, sabotage: str = "") -> bool:
    """Kill a run after ``after_s`` seconds; return False if it ended before."""
    process = run(folder, name, sabotage)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    assert process.returncode == 0
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kills"), [("small_pool", 6), pytest.param("full_pool", 100, marks=pytest.mark.deep)]
)
def test_resumed_scoring_writes_the_same_bytes(
    request: pytest.FixtureRequest, seed: int, name: str, kills: int
):
    folder = request.getfixturevalue(name)
    files = len(list((folder / "pool").iterdir()))
    longest = float((folder / "seconds").read_text())
    generator = np.random.default_rng(seed)
    expected, features = (folder / "whole.csv").read_bytes(), (folder / "whole.npz").read_bytes()
    done = tables = 0
    while done < kills:
        if kill_after(folder, "t", float(generator.uniform(0.3, 1.1)) * longest):
            done += 1
            continue
        tables += 1
        assert_same(folder, expected, features)
    # The last kill may have hit after the table was renamed and before the journal was removed.
    assert not kill_after(folder, "t", 600.0)
    tables += 1
    assert_same(folder, expected, features)
    sys.stdout.write(f"{done} kills, {tables} tables of {files} files, all the same\n")
    lines = list(csv.DictReader(expected.decode().splitlines()))
    assert len({line["id"] for line in lines}) == len(lines) == files
    bad = [line["id"] for line in lines if line["status"] == "unreadable"]
    assert bad == [f"{number:05d}.png" for number in range(0, files, 100)]
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def assert_same(folder: Path, expected: bytes, features: bytes) -> None:
    """Compare the table of a killed run with the expected one, then remove it."""
    assert (folder / "t.csv").read_bytes() == expected
    assert (folder / "t.npz").read_bytes() == features
    (folder / "t.csv").unlink()
    (folder / "t.npz").unlink()


def test_control_resume_that_loses_rows_is_caught(small_pool: Path) -> None:
    shards = small_pool / ".bad.csv.dgaal-score"
    process = run(small_pool, "bad")
    while not (shards / "00000002.shard").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not kill_after(small_pool, "bad", 600.0, FORGETFUL)
    assert (small_pool / "bad.csv").read_bytes() != (small_pool / "whole.csv").read_bytes()


@pytest.mark.deep
def test_decoder_processes_end_after_their_parent_is_killed(full_pool: Path) -> None:
    process = run(full_pool, "orphan")
    folder = full_pool / ".orphan.csv.dgaal-score"
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
