"""A pool that is missing as a whole is an error: no image is set aside, no answer is taken."""

import io
import shutil

import pytest
from label_workspaces import make_workspace

from dgaal_cli.api.label import label, open_session
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.labeling.files import FileChecker
from dgaal_cli.labeling.view import Press
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.pool_pixels import sound_pixels
from dgaal_cli.store.open import open_store
from dgaal_cli.tui.plain import run_plain
from dgaal_cli.workspace import Workspace
from tests.support.class_labels import as_label

NAMES = [f"{folder}/{number}.png" for folder in ("a", "b") for number in range(20)]


def empty_mount_point(root):
    shutil.rmtree(root / "pool")
    (root / "pool").mkdir()


def used_mount_point(root):
    empty_mount_point(root)
    (root / "pool/lost+found").mkdir()
    (root / "pool/README.png").write_bytes(b"mount the disk here")


def wrong_path(root):
    text = (root / "dgaal.toml").read_text()
    (root / "dgaal.toml").write_text(text.replace('"pool"', '"pool-2"'))


def other_pool(root):
    make_workspace(root.parent / "other", [f"x/{number}.png" for number in range(9)])
    shutil.rmtree(root / "pool")
    (root.parent / "other/pool").rename(root / "pool")


def other_pool_with_same_names(root):
    make_workspace(root.parent / "other", NAMES[::-1])
    shutil.rmtree(root / "pool")
    (root.parent / "other/pool").rename(root / "pool")


HARMS = [empty_mount_point, used_mount_point, wrong_path, other_pool, other_pool_with_same_names]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(make_workspace(tmp_path / "w", NAMES))


def config(workspace):
    return configuration(workspace, "threads=1")


def label_plainly(workspace, lines):
    sink = io.StringIO()
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        code = run_plain(opener, io.StringIO(lines), sink)
    return code, sink.getvalue()


def press(view):
    return Press(
        kind="label", item_id=view.image.item_id, label=as_label(view.classes[0].uid), elapsed_ms=1
    )


def check_nothing_changed(workspace, *, labels=0):
    with open_store(workspace, read_only=True) as store:
        assert {item.state for item in store.items()} == {"ok"}
        assert store.counts().labeled == labels


def use_manifest(root):
    rows = [f"pool/{name},{name}\n" for name in NAMES]
    (root / "pool.csv").write_text("file_name,id\n" + "".join(rows))
    text = (root / "dgaal.toml").read_text()
    (root / "dgaal.toml").write_text(text.replace('"pool"', '"pool.csv"'))


@pytest.mark.parametrize("is_manifest", [False, True])
@pytest.mark.parametrize("harm", HARMS)
def test_missing_pool_is_refused_by_labeling_and_training(workspace, harm, is_manifest):
    if is_manifest:
        use_manifest(workspace.root)
    if is_manifest and harm is wrong_path:
        (workspace.root / "pool.csv").unlink()
    else:
        harm(workspace.root)
    name = "pool.csv" if is_manifest else "pool"
    with pytest.raises(PoolGoneError, match=name) as raised:
        label_plainly(workspace, "cat\n" * 40)
    assert raised.value.exit_code == 8
    with open_store(workspace) as store, pytest.raises(PoolGoneError, match=name):
        sound_pixels(workspace, config(workspace), store, print)
    check_nothing_changed(workspace)


@pytest.mark.parametrize("harm", [empty_mount_point, used_mount_point, other_pool])
def test_pool_that_goes_missing_between_two_answers_stops_the_next(workspace, harm):
    with label(workspace, config(workspace), annotator="ann") as session:
        first = session.open()
        harm(workspace.root)
        # The first image was on the screen before the pool was lost.
        second = session.answer(press(first))
        assert not second.is_refused
        assert second.image is not None
        with pytest.raises(PoolGoneError):
            session.answer(press(second))
    check_nothing_changed(workspace, labels=1)


def test_pool_that_lost_most_images_is_not_missing(workspace):
    shutil.rmtree(workspace.root / "pool/a")
    for number in range(19):
        (workspace.root / f"pool/b/{number}.png").unlink()
    with open_store(workspace) as store:
        items, _ = sound_pixels(workspace, config(workspace), store, lambda _: None)
        assert [item.sample_id for item in items] == ["b/19.png"]


def test_harness_notices_images_set_aside(workspace, monkeypatch):
    """The check that this module tests is left out."""
    monkeypatch.setattr(FileChecker, "check_pool", lambda *_, **__: None)
    other_pool(workspace.root)
    code, _ = label_plainly(workspace, "cat\n" * 40)
    assert code == 0
    with pytest.raises(AssertionError):
        check_nothing_changed(workspace)
