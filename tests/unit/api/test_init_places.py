"""Where a workspace may lie, and that a failed ``init`` leaves the folder as it was."""

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


def test_a_network_file_system_is_refused_unless_the_user_knows(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(filesystem, "network_filesystem", lambda _: "nfs4")
    with pytest.raises(UsageError, match=r"network file system \(nfs4\).*--i-know") as refused:
        init(request(tmp_path / "w", pool))
    assert refused.value.exit_code == 2
    assert not (tmp_path / "w").exists()
    assert init(request(tmp_path / "w", pool, accepts_network_folder=True)).images == 4


def test_a_workspace_that_came_to_a_network_file_system_is_not_written(tmp_path, pool, monkeypatch):
    workspace = init(request(tmp_path / "w", pool, classes=["cat"])).workspace
    monkeypatch.setattr(filesystem, "network_filesystem", lambda _: "nfs4")
    with pytest.raises(
        UsageError, match=r"network file system \(nfs4\).*check --i-know"
    ) as refused:
        open_store(workspace.store_path)
    assert refused.value.exit_code == 2
    with open_store(workspace.store_path, read_only=True) as store:  # labels come out
        assert store.counts().items == 4
    check(workspace, accepts_network_folder=True)
    with open_store(workspace.store_path) as store:
        store.add_class("dog")


def test_an_accepted_network_file_system_stays_accepted(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(filesystem, "network_filesystem", lambda _: "nfs4")
    accepted = request(tmp_path / "w", pool, accepts_network_folder=True)
    with open_store(init(accepted).workspace.store_path) as store:
        assert store.add_class("dog").name == "dog"


def test_a_failed_init_leaves_a_folder_that_was_there_as_it_was(tmp_path, pool, monkeypatch):
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


def test_unreadable_files_are_kept_with_their_reason(tmp_path, pool):
    result = init(request(tmp_path / "w", pool))
    with open_store(result.workspace.store_path) as store:
        assert store.quarantined() == list(result.unreadable)
        assert [name for name, _ in store.quarantined()] == ["cat/bad.png"]


def test_status_and_doctor_tell_of_a_backup_that_failed(tmp_path, pool, monkeypatch):
    workspace = init(request(tmp_path / "w", pool, imports_labels=True)).workspace
    monkeypatch.setattr(backups, "EVERY", 2)  # now the fourth event should have made one
    config = load_config(workspace.config_path, environment={})
    assert status(workspace, config).not_backed_up == 4
    told = {finding.name: finding for finding in doctor({}, workspace)}
    assert (told["backups"].level, told["backups"].remedy) == ("risk", "dgaal labels backup")
    assert "4 events are in no backup" in told["backups"].found
    with open_store(workspace.store_path) as store:
        store.back_up()
    assert status(workspace, config).not_backed_up == 0
    assert {finding.name: finding for finding in doctor({}, workspace)}["backups"].level == "ok"


def test_doctor_tells_of_a_damaged_store(tmp_path, pool):
    workspace = init(request(tmp_path / "w", pool)).workspace
    workspace.store_path.write_bytes(b"none")
    told = {finding.name: finding for finding in doctor({}, workspace)}
    assert (told["labels"].level, told["labels"].remedy) == ("risk", "dgaal labels restore")


def test_a_pool_gets_the_preset_that_fits_it_unless_one_is_named(tmp_path, pool):
    assert init(request(tmp_path / "gray", pool)).config.preset == "tiny"
    Image.fromarray(np.full((8, 8, 3), (200, 10, 10), np.uint8)).save(pool / "red.png")
    assert init(request(tmp_path / "color", pool)).config.preset == "small"
    assert load_config(tmp_path / "color" / "dgaal.toml", environment={}).preset == "small"
    assert (
        init(request(tmp_path / "asked", pool, preset="imagenette")).config.preset == "imagenette"
    )
