"""G10 without a tracer: a real file system of a few hundred KiB becomes full."""

import shutil
import subprocess
from pathlib import Path

import pytest
from label_workspaces import DGAAL, make_workspace

from dgaal_cli.store.open import open_store

# Everything runs in a separate mount namespace; the remaining files are copied out.
IN_NAMESPACE = """
set -e
place=$1 kib=$2; shift 2
mkdir "$place/full"
mount -t tmpfs -o "size=${kib}k" tmpfs "$place/full"
cp -r "$place/pristine/." "$place/full"
cd "$place/full"
set +e
"$@" <"$place/in" >"$place/out" 2>"$place/err"
code=$?
cp -r "$place/full" "$place/after"
exit $code
"""


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not may_mount(), reason="needs unshare (util-linux) and permission to use it"
    ),
]


def used_kib(root: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4 for path in root.rglob("*"))


def run(tmp_path: Path, *arguments: str, spare_kib: int, typed: str = "", program=DGAAL) -> int:
    """Run the program with ``spare_kib`` free on the disk; return its exit code."""
    (tmp_path / "in").write_text(typed)
    room = str(used_kib(tmp_path / "pristine") + spare_kib)
    done = subprocess.run(
        [
            *("unshare", "-rm", "bash", "-c", IN_NAMESPACE, "bash", tmp_path, room),
            *program,
            *arguments,
        ],
        capture_output=True,
        check=False,
    )
    assert (tmp_path / "after").is_dir(), done.stderr
    return done.returncode


def test_labeling_on_full_disk_loses_nothing_and_resumes_with_space(tmp_path: Path):
    make_workspace(tmp_path / "pristine", [f"{n:04d}.png" for n in range(500)])
    typed = "cat\ndog\n" * 250
    assert run(tmp_path, "label", "--plain", "--annotator", "sam", spare_kib=200, typed=typed) == 8
    saved = sum(line.startswith("saved:") for line in (tmp_path / "out").read_text().splitlines())
    assert 20 < saved < 490
    messages = (tmp_path / "out").read_text() + (tmp_path / "err").read_text()
    assert "the disk is full" in messages
    with open_store(tmp_path / "after" / "labels.db") as store:
        assert store.watermark() == saved
        assert store.check() == []
    more = subprocess.run(
        [*DGAAL, "label", "--plain", "--annotator", "sam"],
        cwd=tmp_path / "after",
        input="cat\nq\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert more.returncode == 0, more.stderr
    with open_store(tmp_path / "after" / "labels.db") as store:
        assert store.watermark() == saved + 1


def test_score_table_on_full_disk_keeps_the_old_table(tmp_path: Path):
    pytest.importorskip("torch")
    from sealed_artifacts import sealed

    root = make_workspace(tmp_path / "pristine", [f"{n:04d}.png" for n in range(500)])
    (root / "sampler.onnx").write_bytes(sealed("sampler", "onnx"))
    (root / "scores.csv").write_text("old")
    before = sorted(path.name for path in root.iterdir())
    command = ("score", "pool", "-a", "sampler.onnx", "-o", "scores.csv", "-q")
    assert run(tmp_path, *command, spare_kib=8) == 8
    assert "No space left" in (tmp_path / "err").read_text()
    assert len((tmp_path / "err").read_text().splitlines()) == 1
    assert (tmp_path / "after" / "scores.csv").read_text() == "old"
    assert sorted(path.name for path in (tmp_path / "after").iterdir()) == before


def test_control_writing_in_place_is_caught(tmp_path: Path):
    root = make_workspace(tmp_path / "pristine", [f"{n:04d}.png" for n in range(20)])
    (root / "scores.csv").write_text("old")
    naive = ["bash", "-c", "head -c 400000 /dev/zero > scores.csv"]
    assert run(tmp_path, spare_kib=8, program=naive) != 0
    assert (tmp_path / "after" / "scores.csv").read_bytes()[:3] != b"old"
