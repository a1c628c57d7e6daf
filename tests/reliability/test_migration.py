"""G18: every released store opens; a killed migration leaves the old or the new store."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from class_labels import name_of

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite import backups, schema

Drive = Callable[..., Any]
RELEASED = sorted((Path(__file__).parent / "stores").glob("version-*.sql"))


def build(sql: Path, path: Path) -> Path:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql.read_text())
    return path


def test_every_released_schema_version_has_a_stored_dump():
    assert len(RELEASED) == schema.latest_version()


@pytest.mark.parametrize("sql", RELEASED, ids=lambda sql: sql.stem)
def test_released_store_opens_with_its_labels(sql: Path, tmp_path: Path):
    with open_store(build(sql, tmp_path / "labels.db")) as store:
        assert store.check() == []
        assert {label.item_id: name_of(store, label) for label in store.labels()} == {
            1: "cat",
            2: "\u56f3 [/x]",
            5: "\u56f3 [/x]",
        }
        assert store.cannot_tell() == {3}
        assert [item.item_id for item in store.flagged()] == [4]
        assert store.quarantined() == [("caf\udce9.png", "0 bytes")]
        assert store.watermark() == 9


def test_a_store_of_an_earlier_version_gets_groups_and_keeps_those_of_version_6(tmp_path: Path):
    with open_store(build(RELEASED[4], tmp_path / "5.db")) as store:
        assert store.groups() == {}
    with open_store(build(RELEASED[5], tmp_path / "6.db")) as store:
        assert store.groups() == {1: "p\u00e9", 2: "p\u00e9", 4: "\udcff"}


@pytest.mark.slow
@pytest.mark.parametrize("sql", RELEASED, ids=lambda sql: sql.stem)
def test_killed_migration_leaves_old_or_new_store(drive: Drive, tmp_path: Path, sql: Path):
    report = drive("kill_migration", tmp_path, sql, 100, "sound")
    assert (report["neither"], report["stuck"], report["is_same"]) == (0, 0, True)
    assert report["old"] > 0
    assert report["new"] > 0


@pytest.mark.slow
def test_control_migration_without_transaction_is_caught(drive: Drive, tmp_path: Path):
    assert drive("kill_migration", tmp_path, RELEASED[0], 120, "piecewise")["neither"] > 0


def test_migration_makes_a_backup_and_newer_store_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = build(RELEASED[0], tmp_path / "labels.db")
    planted = (*schema.MIGRATIONS, ("CREATE TABLE planted(x INTEGER) STRICT",))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", planted)
        open_store(path).close()
    (copy,) = backups.existing(path)
    assert copy.name.endswith("-upgrade.db")
    assert backups.verify(copy) == 9
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match="upgrade dgaal"):
        open_store(path)
    assert path.read_bytes() == before
