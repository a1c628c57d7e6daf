"""G7: kills while scoring: the table is that of an untouched run, to the byte.

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

FILES = 5_000

RUN = """
import sys
from pathlib import Path
import dgaal_cli.scoring.journal as journal
journal.FLUSH_S = 0.0  # a file a batch: more moments at which a kill can do harm
{sabotage}
from dgaal_cli.api.score import ScoreOptions, score
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
    """The whole pool."""
    return make_place(tmp_path_factory.mktemp("killed"), FILES)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tenth of it."""
    return make_place(tmp_path_factory.mktemp("small"), FILES // 10)


def make_place(folder: Path, files: int) -> Path:
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kills"), [("small", 6), pytest.param("place", 100, marks=pytest.mark.deep)]
)
def test_no_kill_changes_a_byte(request: pytest.FixtureRequest, seed: int, name: str, kills: int):
    folder = request.getfixturevalue(name)
    files = len(list((folder / "pool").iterdir()))
    longest = float((folder / "seconds").read_text())
    generator = np.random.default_rng(seed)
    whole, features = (folder / "whole.csv").read_bytes(), (folder / "whole.npz").read_bytes()
    done = tables = 0
    while done < kills:
        if killed(folder, "t", float(generator.uniform(0.3, 1.1)) * longest):
            done += 1
            continue
        tables += 1
        assert_same(folder, whole, features)
    # The last kill may have hit between the table's taking its name and the journal's end.
    assert not killed(folder, "t", 600.0)
    tables += 1
    assert_same(folder, whole, features)
    sys.stdout.write(f"{done} kills, {tables} tables of {files} files, all the same\n")
    lines = list(csv.DictReader(whole.decode().splitlines()))
    assert len({line["id"] for line in lines}) == len(lines) == files
    bad = [line["id"] for line in lines if line["status"] == "unreadable"]
    assert bad == [f"{number:05d}.png" for number in range(0, files, 100)]
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def assert_same(folder: Path, whole: bytes, features: bytes) -> None:
    """The table of a run that was killed is the whole one's; make room for the next."""
    assert (folder / "t.csv").read_bytes() == whole
    assert (folder / "t.npz").read_bytes() == features
    (folder / "t.csv").unlink()
    (folder / "t.npz").unlink()


def test_control_a_resumption_that_loses_rows_is_caught(small: Path) -> None:
    shards = small / ".bad.csv.dgaal-score"
    process = run(small, "bad")
    while not (shards / "00000002.shard").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not killed(small, "bad", 600.0, FORGETFUL)
    assert (small / "bad.csv").read_bytes() != (small / "whole.csv").read_bytes()


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
