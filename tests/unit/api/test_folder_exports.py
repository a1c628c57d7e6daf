"""Exports into folders read only images that may have changed, and refuse those that have."""

import os
import time
from pathlib import Path

import pytest
from class_labels import as_label

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.labels import export_labels
from dgaal_cli.data.known_files import KnownFiles
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.workspace import Workspace
from tests.support.sample_images import encoded, pixels

NAMES = ("a/1.png", "a/2.png", "b/3.png")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a workspace whose images are labeled, made long after its files were written."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "pool" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels(number, height=8, width=8)))
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10**10)
    request = InitRequest(
        root=tmp_path / "w", pool="pool", base=tmp_path, classes=("cat", "dog"), method="random"
    )
    made = init(request).workspace
    with open_store(made) as store:
        label = as_label(store.class_by_name("cat").uid)
        store.import_labels(
            [
                ImportedLabel(sample_id=SampleId(name), label=label, annotator="ann")
                for name in NAMES
            ]
        )
    return made


def export(workspace: Workspace, link: str) -> Path:
    target = workspace.root.parent / "out"
    config = configuration(workspace)
    export_labels(workspace, config, format="imagefolder", target=target, link=link)
    return target / "cat"


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_only_copies_read_files_that_are_as_init_read_them(link, workspace, monkeypatch):
    opened: list[str] = []
    real = os.open

    def spy(path, *arguments, **options):
        opened.append(os.fspath(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", spy)
    folder = export(workspace, link)
    pool = workspace.root.parent / "pool"
    for name in NAMES:
        assert (folder / name).read_bytes() == (pool / name).read_bytes()
    read = {name for name in NAMES if str(pool / name) in opened}
    assert read == (set(NAMES) if link == "copy" else set())


def change(path: Path) -> None:
    """Change a file, but neither its size nor the time of its modification."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_changed_image_with_size_and_time_of_the_old_one_is_refused(link, workspace):
    change(workspace.root.parent / "pool" / "a" / "2.png")
    with pytest.raises(InputDataError, match=r"a/2\.png has changed since it was labeled"):
        export(workspace, link)
    assert not (workspace.root.parent / "out").exists()


def test_control_size_and_modification_time_alone_would_pass_it(workspace, monkeypatch):
    monkeypatch.setattr(KnownFiles, "digest", lambda known, name, _: known._rows[name][-32:])
    with pytest.raises(pytest.fail.Exception):
        test_changed_image_with_size_and_time_of_the_old_one_is_refused("symlink", workspace)


def test_export_without_the_cache_of_known_files_compares_every_image(workspace):
    (workspace.cache_path / "pool-files").unlink()
    test_changed_image_with_size_and_time_of_the_old_one_is_refused("symlink", workspace)
