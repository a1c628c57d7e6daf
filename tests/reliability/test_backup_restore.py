"""``dgaal labels check|backup|restore`` report every damage and replace nothing silently."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from class_labels import name_of
from label_workspaces import DGAAL, make_workspace

from dgaal_cli.store.open import open_store

LABELS = {"1.png": "cat", "2.png": "dog"}


def dgaal(root: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DGAAL, "-C", str(root), *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_workspace(tmp_path, [f"{n}.png" for n in range(1, 6)])
    assert dgaal(root, "label", "--plain", typed="cat\ndog\nq\n").returncode == 0
    return root


def flip_header(data: bytearray) -> bytes:
    data[20] ^= 0xFF
    return bytes(data)


def overwrite_events(data: bytearray) -> bytes:
    """Overwrite the page that holds the first answer with garbage."""
    at = data.find(b"1.png") // 4096 * 4096
    data[at : at + 4096] = b"\x5a" * 4096
    return bytes(data)


DAMAGES = {
    "one page": overwrite_events,
    "cut in half": lambda data: bytes(data[: len(data) // 2 // 4096 * 4096]),
    "cut in a page": lambda data: bytes(data[:-100]),
    "empty": lambda _: b"",
    "another file": lambda _: b"not a database at all, but long enough" * 200,
    "zeros": lambda data: bytes(len(data)),
    "gone": None,
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_store_is_reported_unchanged_and_restored(root: Path, kind: str):
    assert dgaal(root, "labels", "backup").returncode == 0
    store, damage = root / "labels.db", DAMAGES[kind]
    if damage is None:
        store.unlink()
    else:
        store.write_bytes(damage(bytearray(store.read_bytes())))
    before = store.read_bytes() if store.exists() else None
    for arguments in (
        ("labels", "check"),
        ("status",),
        ("labels", "backup"),
        ("label", "--plain"),
    ):
        done = dgaal(root, *arguments)
        assert done.returncode == 4, (arguments, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "restore" in done.stderr
        assert (store.read_bytes() if store.exists() else None) == before
    restored = dgaal(root, "labels", "restore", "--json")
    assert restored.returncode == 0, restored.stderr
    document = json.loads(restored.stdout)
    assert document["events"] == 2
    if before is not None:
        assert Path(document["set_aside"]).read_bytes() == before
    assert dgaal(root, "labels", "check").returncode == 0
    with open_store(store) as opened:
        assert {label.sample_id: name_of(opened, label) for label in opened.labels()} == LABELS
    assert dgaal(root, "label", "--plain", typed="cat\nq\n").returncode == 0


def test_restore_skips_damaged_backup_for_older_intact_one(root: Path):
    dgaal(root, "labels", "backup")
    dgaal(root, "label", "--plain", typed="cat\nq\n")
    newest = Path(dgaal(root, "labels", "backup").stdout.strip())
    newest.write_bytes(newest.read_bytes()[:-4096])
    assert json.loads(dgaal(root, "labels", "restore", "--json").stdout)["events"] == 2
    for copy in (root / "backups").iterdir():
        copy.write_bytes(b"none")
    none = dgaal(root, "labels", "restore")
    assert none.returncode == 4
    assert dgaal(root, "labels", "check").returncode == 0  # the store was not changed


def test_check_finds_foreign_trigger_and_mends_wrong_current_state(root: Path):
    import sqlite3

    with sqlite3.connect(root / "labels.db") as connection:
        connection.execute("DELETE FROM verdict")
    connection.close()
    assert dgaal(root, "labels", "check").returncode == 4
    assert dgaal(root, "labels", "check", "--mend").returncode == 0
    with sqlite3.connect(root / "labels.db") as connection:
        connection.execute(
            "CREATE TRIGGER evil AFTER INSERT ON event BEGIN DELETE FROM verdict; END"
        )
    connection.close()
    done = dgaal(root, "label", "--plain", typed="cat\nq\n")
    assert done.returncode == 4
    assert "evil" in done.stderr


CARELESS = """
from dgaal_cli.store.sqlite import projection
projection.differences = lambda _: 0
from dgaal_cli.cli import main
main()
"""


def test_control_check_without_comparison_is_caught(root: Path):
    import sqlite3

    with sqlite3.connect(root / "labels.db") as connection:
        connection.execute("DELETE FROM verdict")
    connection.close()
    command = [sys.executable, "-c", CARELESS, "-C", str(root), "labels", "check"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 4
