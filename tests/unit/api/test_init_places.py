"""Folders where ``init`` accepts a workspace; a failed ``init`` leaves its folder unchanged."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dgaal_cli.api import init as module
from dgaal_cli.api.doctor import doctor
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.labels import check
from dgaal_cli.api.status import status
from dgaal_cli.config.load import load_config
from dgaal_cli.errors import StorageError, UsageError
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite import backups, filesystem


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / "pool"
    for number in range(4):
        path = folder / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 50 * number, np.uint8)).save(path)
    (folder / "cat" / "bad.png").write_bytes(b"none")
    return folder


def request(root: Path, pool: Path, **changes: object) -> InitRequest:
    return InitRequest(root=root, pool=str(pool), base=root.parent, **changes)  # type: ignore[arg-type]


def test_init_refuses_network_file_system_without_confirmation(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(filesystem, "network_filesystem", lambda _: "nfs4")
    with pytest.raises(UsageError, match=r"network file system \(nfs4\).*--i-know") as refused:
        init(request(tmp_path / "w", pool))
    assert refused.value.exit_code == 2
    assert not (tmp_path / "w").exists()
    assert init(request(tmp_path / "w", pool, accepts_network_folder=True)).images == 4


def test_workspace_moved_to_network_file_system_is_read_only(tmp_path, pool, monkeypatch):
    workspace = init(request(tmp_path / "w", pool, classes=["cat"])).workspace
    monkeypatch.setattr(filesystem, "network_filesystem", lambda _: "nfs4")
    with pytest.raises(
        UsageError, match=r"network file system \(nfs4\).*check --i-know"
    ) as refused:
        open_store(workspace.store_path)
    assert refused.value.exit_code == 2
    with open_store(workspace.store_path, read_only=True) as store:  # labels are readable
        assert store.counts().items == 4
    check(workspace, accepts_network_folder=True)
    with open_store(workspace.store_path) as store:
        store.add_class("dog")


def test_accepted_network_file_system_stays_accepted(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(filesystem, "network_filesystem", lambda _: "nfs4")
    accepted = request(tmp_path / "w", pool, accepts_network_folder=True)
    with open_store(init(accepted).workspace.store_path) as store:
        assert store.add_class("dog").name == "dog"


def test_failed_init_leaves_existing_folder_unchanged(tmp_path, pool, monkeypatch):
    root = tmp_path / "w"
    root.mkdir()
    (root / "mine.txt").write_text("kept")

    def fail(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(module.atomic, "write_text", fail)
    with pytest.raises(StorageError):
        init(request(root, pool, imports_labels=True))
    assert [path.name for path in root.iterdir()] == ["mine.txt"]
    monkeypatch.undo()
    assert init(request(root, pool, imports_labels=True)).labels == 4


def test_init_records_unreadable_files_with_their_reason(tmp_path, pool):
    result = init(request(tmp_path / "w", pool))
    with open_store(result.workspace.store_path) as store:
        assert store.quarantined() == list(result.unreadable)
        assert [name for name, _ in store.quarantined()] == ["cat/bad.png"]


def test_status_and_doctor_report_overdue_backup(tmp_path, pool, monkeypatch):
    workspace = init(request(tmp_path / "w", pool, imports_labels=True)).workspace
    monkeypatch.setattr(backups, "EVERY", 2)  # the fourth event should have triggered a backup
    config = load_config(workspace.config_path, environment={})
    assert status(workspace, config).not_backed_up == 4
    findings = {finding.name: finding for finding in doctor({}, workspace)}
    assert (findings["backups"].level, findings["backups"].remedy) == (
        "risk",
        "dgaal labels backup",
    )
    assert "4 events are in no backup" in findings["backups"].found
    with open_store(workspace.store_path) as store:
        store.back_up()
    assert status(workspace, config).not_backed_up == 0
    assert {finding.name: finding for finding in doctor({}, workspace)}["backups"].level == "ok"


def test_doctor_reports_damaged_store(tmp_path, pool):
    workspace = init(request(tmp_path / "w", pool)).workspace
    workspace.store_path.write_bytes(b"none")
    findings = {finding.name: finding for finding in doctor({}, workspace)}
    assert (findings["labels"].level, findings["labels"].remedy) == ("risk", "dgaal labels restore")


def test_init_chooses_a_preset_for_the_pool_unless_given(tmp_path, pool):
    assert init(request(tmp_path / "gray", pool)).config.preset == "tiny"
    Image.fromarray(np.full((8, 8, 3), (200, 10, 10), np.uint8)).save(pool / "red.png")
    assert init(request(tmp_path / "color", pool)).config.preset == "small"
    assert load_config(tmp_path / "color" / "dgaal.toml", environment={}).preset == "small"
    assert (
        init(request(tmp_path / "given", pool, preset="imagenette")).config.preset == "imagenette"
    )
