"""The files of a workspace are private, or shared by its group where the folder is setgid."""

import os
import stat
import subprocess
from pathlib import Path
from shutil import which

import pytest
from label_workspaces import DGAAL, make_workspace

from dgaal_cli import atomic
from dgaal_cli.store.open import open_store, store_location

NAMES = [f"{number}.png" for number in range(30)]
GROUP = 54_321
COMMANDS = [
    ["init", ".", "--pool", "../w/pool", "--classes", "cat,dog", "--method", "random"],
    ["train"],
    ["query"],
    ["label", "--plain"],
    ["labels", "backup"],
    ["labels", "export", "-o", "labels.jsonl"],
    ["labels", "restore"],
    ["report"],
]


def run(root, *arguments, umask, prefix=(), lines=""):
    done = subprocess.run(
        [*prefix, *DGAAL, "-q", *arguments],
        cwd=root,
        umask=umask,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
        input=lines,
    )
    assert done.returncode == 0, done.stderr


def modes(root):
    """Return the permissions of all files and folders, by path."""
    paths = [root, *root.rglob("*")]
    return {p: stat.S_IMODE(p.stat().st_mode) for p in paths if not p.is_symlink()}


def check_modes(root, *, folder, file):
    wrong = {
        str(path.relative_to(root)): oct(mode)
        for path, mode in modes(root).items()
        if mode != (folder if path.is_dir() else file)
    }
    assert not wrong


@pytest.fixture
def pool(tmp_path):
    return make_workspace(tmp_path / "w", NAMES) / "pool"


@pytest.mark.slow
def test_files_are_private_whatever_the_umask(tmp_path, pool):
    root = tmp_path / "new"
    run(tmp_path, "init", "new", "--pool", str(pool), *COMMANDS[0][4:], umask=0)
    for arguments in COMMANDS[1:]:
        run(root, *arguments, umask=0, lines="cat\ndog\n")
    check_modes(root, folder=0o700, file=0o600)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or which("setpriv") is None, reason="needs root and setpriv")
def test_group_labels_together_in_a_setgid_folder(tmp_path):
    """Two users take turns; they may read all files of the host, since Python may be private."""
    make_workspace(tmp_path / "w", NAMES)
    root = tmp_path / "new"
    root.mkdir()
    os.chown(root, -1, GROUP)
    root.chmod(0o2770)
    for number, arguments in enumerate(COMMANDS):
        caps = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        ids = [f"--reuid={54_322 + number % 2}", f"--regid={54_400 + number % 2}"]
        user = ["setpriv", *ids, f"--groups={GROUP}", *caps]
        run(root, *arguments, umask=0o077, prefix=user, lines="cat\ndog\n")
    check_modes(root, folder=0o2770, file=0o660)
    assert {path.stat().st_gid for path in root.rglob("*")} == {GROUP}
    with open_store(root / "labels.db") as store:
        assert store.counts().labeled == 2


def test_new_store_is_private_in_a_notebook_too(tmp_path):
    previous = os.umask(0)
    try:
        with store_location(tmp_path / "labels.db").create() as store:
            store.back_up("test")
    finally:
        os.umask(previous)
    found = {path.name: mode for path, mode in modes(tmp_path).items() if path.suffix == ".db"}
    assert len(found) == 2
    assert set(found.values()) == {0o600}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_replaced_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "dgaal.toml"
    path.write_text("old")
    path.chmod(mode)
    atomic.write_text(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


def test_harness_notices_a_file_that_others_can_read(tmp_path):
    path = Path(tmp_path / "a")
    path.write_text("")
    path.chmod(0o640)
    tmp_path.chmod(0o700)
    with pytest.raises(AssertionError, match="0o640"):
        check_modes(tmp_path, folder=0o700, file=0o600)
