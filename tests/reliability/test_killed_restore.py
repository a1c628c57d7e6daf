"""``dgaal labels restore`` killed at any of its calls leaves the old labels or the backup's.

A killed backup leaves all earlier ones intact.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from class_labels import as_label
from label_workspaces import make_workspace

from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer

Drive = Callable[..., Any]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a workspace with three labels, two of which are in a delta of a full backup."""
    root = make_workspace(tmp_path / "w", [f"{n}.png" for n in range(1, 6)])
    with open_store(root / "labels.db") as store:
        uid = store.classes()[0].uid
        for item in store.items()[:3]:
            answer = Answer(
                op_id=str(item.item_id), kind="label", item_id=item.item_id, label=as_label(uid)
            )
            store.submit(answer, annotator="ann", session="s")
            if item.item_id < 3:
                store.back_up()
    return root


def test_restore_killed_at_any_call_leaves_old_or_new_store(drive: Drive, root: Path):
    report = drive("kill_restore", root, "real")
    assert set(report["found"]) == {"3", "2"}
    assert report["again"] == {"2": report["kills"]}
    assert report["kills"] > 10


def test_control_renaming_the_store_first_is_caught(drive: Drive, root: Path):
    assert drive("kill_restore", root, "renamed")["found"].get("none", 0) > 0


@pytest.mark.slow
def test_backup_killed_at_any_call_leaves_the_earlier_ones(drive: Drive, root: Path):
    report = drive("kill_backup", root, "real")
    assert set(report["found"]) <= {"2", "3"}
    assert report["found"]["2"] > 5
    assert report["again"] == {"3": report["kills"]}
    assert report["restored"] == 3


@pytest.mark.slow
def test_control_backup_written_in_place_is_caught(drive: Drive, root: Path):
    assert drive("kill_backup", root, "in place")["found"].get("damaged", 0) > 0
