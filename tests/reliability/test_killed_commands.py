"""Temporary files of killed commands are removed by the next command there, and by doctor."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from label_workspaces import make_workspace
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.scratch import scratch, sweep
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace

KILLED = """
import os, signal
from pathlib import Path
import dgaal_cli.atomic, dgaal_cli.scratch
from dgaal_cli.store.open import open_store, store_location

root = Path.cwd()
def kill(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)
{victim}
"""
VICTIMS = {
    "one file": "os.replace = kill; dgaal_cli.atomic.write_text(root / 'x', 'new')",
    "files": "os.replace = kill; dgaal_cli.atomic.write_together(root, dict(a=b'1', b=b'2'))",
    "folder": "os.replace = kill\nwith dgaal_cli.atomic.assembling(root / 'out') as new:\n"
    "    (new / 'a').write_text('a')",
    "store": "os.link = kill; store_location(root / 'new.db').create()",
    "init": "with store_location(root / 'new.db').build(then=kill) as store:\n    kill()",
    "backup": "os.replace = kill; open_store(root / 'labels.db').back_up('test')",
    "report": "(root / 'report').mkdir(exist_ok=True); os.replace = kill\n"
    "dgaal_cli.atomic.write_text(root / 'report/index.html', 'page')",
    "checkpoint": "from dgaal_cli.training import checkpoint\nos.replace = kill\n"
    "os.rename = kill; checkpoint.save(root / 'rounds/000/progress', {}, {})",
}

EVERY_VICTIM = pytest.mark.parametrize(
    "victim",
    [pytest.param(n, marks=pytest.mark.slow) if n == "checkpoint" else n for n in VICTIMS],
)


@pytest.fixture
def root(tmp_path):
    return make_workspace(tmp_path / "w", ["0.png"])


def litter(root):
    return [path for path in root.rglob(".*") if path.name.startswith(".dgaal-")]


def kill(root, victim):
    code = KILLED.format(victim=VICTIMS[victim])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


@EVERY_VICTIM
def test_doctor_removes_what_a_killed_command_left(root, victim):
    kill(root, victim)
    assert litter(root)
    done = CliRunner().invoke(app, ["-C", str(root), "--json", "doctor"])
    found = {finding["name"]: finding["found"] for finding in json.loads(done.stdout)}
    assert int(found["temporary files"].split()[0]) >= 1
    assert not litter(root)


@EVERY_VICTIM
def test_next_writer_removes_what_a_killed_command_left(root, victim):
    kill(root, victim)
    writer = {
        "checkpoint": VICTIMS["checkpoint"].replace("os.replace = kill\nos.rename = kill; ", ""),
        "backup": "open_store(root / 'labels.db').back_up('test')",
        "report": "dgaal_cli.atomic.write_text(root / 'report/index.html', 'page')",
    }
    code = KILLED.format(victim=writer.get(victim, "dgaal_cli.atomic.write_text(root / 'y', 'y')"))
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)
    assert not litter(root)


@pytest.mark.parametrize("is_folder", [False, True])
def test_file_in_use_by_another_process_is_kept(tmp_path, is_folder):
    """The harness would otherwise accept a sweep that removes everything."""
    code = (
        "import sys, pathlib\nfrom dgaal_cli.scratch import scratch\n"
        f"with scratch(pathlib.Path.cwd(), is_folder={is_folder}) as path:\n"
        "    print(path, flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **pipes) as process:
        path = process.stdout.readline().strip()
        assert sweep(tmp_path) == 0
        assert Path(path).exists()
        process.kill()
    assert sweep(tmp_path) == 1
    assert not Path(path).exists()


def test_only_names_of_scratch_files_are_removed(tmp_path):
    kept = [tmp_path / name for name in (".dgaal-x.tmp", "a.tmp", ".dgaal-0123456789ab.tmp.png")]
    for path in kept:
        path.touch()
    (tmp_path / "target").write_text("kept")
    (tmp_path / ".dgaal-0123456789ab.tmp").symlink_to(tmp_path / "target")
    with scratch(tmp_path) as path:
        assert path.parent == tmp_path
    assert all(path.exists() for path in kept)
    assert (tmp_path / "target").read_text() == "kept"


def test_doctor_names_what_earlier_versions_left_and_removes_nothing(root):
    names = (
        ".labels.db.0123456789ab.tmp",
        "backups/.labels-20260101T000000Z-manual.db.01234567.tmp-journal",
        ".init-ab_12xyz",
    )
    others = (".vimrc.tmp", ".notes-2026.tmp")
    (root / "backups").mkdir(exist_ok=True)
    for name in names + others:
        (root / name).touch()
    done = CliRunner().invoke(app, ["-C", str(root), "--json", "doctor"])
    remedies = " ".join(finding["remedy"] for finding in json.loads(done.stdout))
    assert all(f"{root / name}" in remedies for name in names)
    assert not any(name in remedies for name in others)
    assert all((root / name).exists() for name in names + others)


def test_workspace_of_the_killed_is_whole(root):
    kill(root, "backup")
    with open_store(Workspace(root)) as store:
        assert store.check() == []
