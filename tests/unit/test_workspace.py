"""Finding a workspace and locking it."""

import subprocess
import sys

import pytest

from dgaal_cli.errors import BusyError, UsageError
from dgaal_cli.workspace import Workspace, find_workspace

HOLDER = """
import sys, time
from pathlib import Path
from dgaal_cli.workspace import Workspace
with Workspace(Path(sys.argv[1])).lock("train", doing="training"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_workspace_is_found_from_a_folder_inside_it(tmp_path):
    (tmp_path / "dgaal.toml").touch()
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    assert find_workspace(inside).root == tmp_path


def test_named_folder_is_not_searched_upwards(tmp_path):
    (tmp_path / "dgaal.toml").touch()
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match="is not a workspace"):
        find_workspace(tmp_path / "a", is_named=True)


def test_error_outside_a_workspace_names_init_and_demo(tmp_path):
    with pytest.raises(UsageError, match=r"dgaal init.*dgaal demo"):
        find_workspace(tmp_path)


def test_lock_names_holding_process_and_is_freed_when_it_dies(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(BusyError, match=rf"process {holder.pid} \(training\)") as busy,
            Workspace(tmp_path).lock("train", doing="training"),
        ):
            pass
        assert busy.value.exit_code == 6
        holder.kill()
        holder.wait()
    with Workspace(tmp_path).lock("train", doing="training"):
        pass


def test_locks_with_different_names_are_independent(tmp_path):
    workspace = Workspace(tmp_path)
    with workspace.lock("train", doing="x"), workspace.lock("label-ann", doing="y"):
        pass
