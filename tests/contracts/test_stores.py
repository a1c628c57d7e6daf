"""Every kind of store keeps the rules of ``store.protocol``.

The suite is in ``stores/``. Its fixture ``make_store`` creates a store of each kind in the
registry, so a new kind needs one line in the registry and no new test.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dgaal_cli.errors import UsageError
from dgaal_cli.store.open import KINDS, open_store, store_location

SUITE = Path(__file__).with_name("stores")


def outcomes(keywords: str) -> dict[str, dict[str, set[str]]]:
    """Run tests of the suite in another process; return tests by kind and outcome."""
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "-q", "-rA"]
    done = subprocess.run(
        [*command, "-p", "more_store_kinds", "--tb=no", str(SUITE), "-k", keywords],
        cwd=SUITE.parents[2],
        env={"PYTHONPATH": "tests/support", "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, dict[str, set[str]]] = {}
    for outcome, test, kind, rest in re.findall(
        r"^(PASSED|FAILED|ERROR) \S+::(\w+)\[([a-z]+)(.*?)\]", done.stdout, re.MULTILINE
    ):
        found.setdefault(kind, {}).setdefault(outcome, set()).add(test + rest)
    assert found, done.stdout + done.stderr
    return found


def test_suite_fails_for_each_broken_store():
    """Negative control: the suite finds the error of each broken kind in the registry."""
    found = outcomes(
        "restart or correction or same_answer_twice or operation_id or is_restored_and or intact"
    )
    assert found["sqlite"].keys() == found["twin"].keys() == {"PASSED"}
    assert {kind: found[kind]["FAILED"] for kind in ("forgetful", "doubling", "unrestored")} == {
        "forgetful": {
            "test_undo_restores_the_answer_before_a_correction",
            "test_undo_survives_a_restart",
        },
        "doubling": {
            "test_operation_id_refuses_another_answer",
            "test_same_answer_twice_is_stored_once",
        },
        "unrestored": {
            "test_backup_is_restored_and_the_old_store_is_kept",
            "test_newest_intact_backup_is_restored",
            "test_nothing_is_restored_without_an_intact_backup",
        },
    }


@pytest.mark.slow
def test_suite_runs_for_every_registered_kind():
    found = outcomes("twin or sqlite")
    assert found["twin"] == found["sqlite"]
    assert found["twin"].keys() == {"PASSED"}
    assert len(found["twin"]["PASSED"]) > 80


@pytest.mark.parametrize("url", ["postgresql://host/labels", "PostgreSQL:labels", "x:"])
def test_unknown_kind_is_refused_and_nothing_is_created(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (store_location, open_store):
        with pytest.raises(UsageError, match=r"no kind of store is named (postgresql|x); use "):
            call(url)
    assert list(tmp_path.iterdir()) == []


def test_path_without_a_kind_is_a_sqlite_store(tmp_path):
    for number, path in enumerate((tmp_path / "0.db", str(tmp_path / "1.db"))):
        store_location(path).create().close()
        with open_store(f"SQLITE:{tmp_path / f'{number}.db'}") as store:
            assert store.items() == []
    assert "sqlite" in KINDS
