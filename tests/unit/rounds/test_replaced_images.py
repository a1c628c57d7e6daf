"""A label belongs to the bytes that were shown; changed files are not labeled or trained on."""

import errno
import io
import os

import pytest
import torch
from class_labels import name_of
from label_workspaces import make_workspace
from typer.testing import CliRunner

from dgaal_cli.api.label import open_session
from dgaal_cli.cli import app
from dgaal_cli.data.decoders.registry import not_an_image
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.events import Warned
from dgaal_cli.ids import SampleId
from dgaal_cli.labeling.annotators import new_op_id
from dgaal_cli.labeling.files import FileChecker
from dgaal_cli.labeling.view import Press
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite.store import SqliteStore
from dgaal_cli.tui.plain import run_plain
from dgaal_cli.workspace import Workspace
from tests.support.class_labels import as_label

NAMES = ["a.png", "b.png", "c.png", "d.png"]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(make_workspace(tmp_path / "w", NAMES))


def config(workspace):
    return configuration(workspace, "threads=1")


def replace(workspace, name):
    """Replace an image by one of another pool; return the previous content."""
    path = workspace.root / "pool" / name
    before = path.read_bytes()
    other = make_workspace(workspace.root.parent / f"other-{name}", [f"{i}.png" for i in range(9)])
    path.write_bytes((other / "pool/8.png").read_bytes())
    return before


def states(workspace):
    with open_store(workspace.store_path, read_only=True) as store:
        return {item.sample_id: item.state for item in store.items()}


def labels(workspace):
    with open_store(workspace.store_path, read_only=True) as store:
        return {record.sample_id: name_of(store, record) for record in store.labels()}


def answer_lines(workspace, *lines):
    sink = io.StringIO()
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        run_plain(opener, io.StringIO("".join(f"{line}\n" for line in lines)), sink)
    return sink.getvalue()


def label_all(workspace):
    answer_lines(workspace, "cat", "dog", "cat", "dog")
    assert labels(workspace) == {
        "a.png": "cat",
        "b.png": "dog",
        "c.png": "cat",
        "d.png": "dog",
    }


def gathered(workspace):
    events = []
    with open_store(workspace.store_path) as store:
        found = gather(
            workspace,
            config(workspace),
            store,
            number=0,
            device=torch.device("cpu"),
            emit=events.append,
        )
    return found, [event.message for event in events if isinstance(event, Warned)]


def test_replaced_image_is_not_asked_until_its_bytes_are_restored(workspace):
    before = replace(workspace, "a.png")
    output = answer_lines(workspace, "dog", "q")
    assert "set aside, replaced since 'dgaal init': a.png" in output
    assert "image b.png" in output
    assert labels(workspace) == {"b.png": "dog"}
    assert states(workspace)["a.png"] == "changed"
    (workspace.root / "pool/a.png").write_bytes(before)
    answer_lines(workspace, "cat", "q")
    assert labels(workspace) == {"a.png": "cat", "b.png": "dog"}


def remove(workspace, *names):
    """Move files out of the pool; return a function that moves them back."""
    away = workspace.root / "away"
    away.mkdir(exist_ok=True)
    for name in names:
        (workspace.root / "pool" / name).rename(away / name)
    return lambda: [(away / name).rename(workspace.root / "pool" / name) for name in names]


def test_missing_image_is_not_asked_until_its_file_is_restored(workspace):
    put_back = remove(workspace, "a.png", "c.png")
    output = answer_lines(workspace, "cat", "dog", "q")
    assert "set aside, its file is gone: a.png" in output
    assert labels(workspace) == {"b.png": "cat", "d.png": "dog"}
    assert states(workspace) == {
        "a.png": "missing",
        "b.png": "ok",
        "c.png": "missing",
        "d.png": "ok",
    }
    printed = CliRunner().invoke(app, ["-C", str(workspace.root), "status"]).stdout
    assert "  left out: a.png: its file is gone\n" in printed
    put_back()
    replace(workspace, "c.png")
    output = answer_lines(workspace, "dog", "q")
    assert labels(workspace) == {"a.png": "dog", "b.png": "cat", "d.png": "dog"}
    assert states(workspace)["c.png"] == "changed"


@pytest.mark.parametrize("is_hurried", [False, True])
def test_missing_image_is_neither_shown_nor_upcoming(workspace, is_hurried):
    remove(workspace, "a.png", "c.png")
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open(is_hurried=is_hurried)
        assert view.image.sample_id == "b.png"
        assert [image.sample_id for image in view.upcoming] == ["d.png"]
        assert view.progress.left == 2
        remove(workspace, "d.png")
        session.grid()
        assert states(workspace)["d.png"] == "missing"
        assert session.view().upcoming == ()
        session.close()


class EmptyGuesses:
    """A learner without predictions, so the query order is used."""

    def doubts(self, items):
        return {}

    def guesses(self, items):
        return {}


def test_missing_and_replaced_images_leave_the_learners_order(workspace):
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        session.open()
        session._round.learner.guesses = EmptyGuesses()
        session._round.reload()
        replace(workspace, "a.png")
        remove(workspace, "c.png")
        view = session.view()
        assert view.image.sample_id == "b.png"
        assert [image.sample_id for image in view.upcoming] == ["d.png"]
        session.close()


def test_answer_to_shown_image_is_saved_when_its_file_is_gone(workspace):
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open()
        remove(workspace, "a.png", "b.png")
        assert session.view().image.sample_id == "a.png"
        press = Press(
            op_id=new_op_id(),
            kind="label",
            item_id=view.image.item_id,
            label=as_label(view.classes[0].uid),
        )
        view = session.answer(press)
        assert not view.is_refused
        assert view.image.sample_id == "c.png"
        session.close()
    assert labels(workspace) == {"a.png": "cat"}


def test_answer_is_saved_for_the_first_image_of_a_hurried_start(workspace):
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open(is_hurried=True)
        remove(workspace, "a.png")
        assert not session.answer(first_class(view)).is_refused
        session.close()
    assert labels(workspace) == {"a.png": "cat"}


def first_class(view):
    return Press(
        op_id=new_op_id(),
        kind="label",
        item_id=view.image.item_id,
        label=as_label(view.classes[0].uid),
    )


@pytest.mark.parametrize("source", ["pool", "pool/list.csv"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("is_opened", [False, True])
def test_answers_are_saved_while_the_pool_is_unreadable(
    workspace, monkeypatch, source, code, is_opened
):
    (workspace.root / "pool/list.csv").write_text("file_name\n" + "\n".join(NAMES))
    text = (workspace.root / "dgaal.toml").read_text()
    (workspace.root / "dgaal.toml").write_text(text.replace('"pool"', f'"{source}"'))
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open(is_hurried=not is_opened)
        fail_at(monkeypatch, workspace.root / "pool", code)
        view = session.answer(first_class(view))
        assert view.image.sample_id == "b.png"
        session.answer(first_class(view))
        session.close()
    monkeypatch.undo()
    assert labels(workspace) == {"a.png": "cat", "b.png": "cat"}
    assert set(states(workspace).values()) == {"ok"}


def fail_at(monkeypatch, folder, code):
    """Let `stat` and `lstat` fail for the folder and all files in it."""

    def with_error(original):
        def stat_or_fail(path, *args, **kwargs):
            if not isinstance(path, int) and os.fsdecode(path).startswith(str(folder)):
                raise OSError(code, os.strerror(code), str(path))
            return original(path, *args, **kwargs)

        return stat_or_fail

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, with_error(getattr(os, name)))


@pytest.mark.parametrize("is_folder_kept", [False, True])
def test_images_on_an_unmounted_disk_inside_the_pool_are_kept(tmp_path, is_folder_kept):
    names = ["disk1/a.png", "disk1/b.png", "disk2/c.png", "disk2/d.png"]
    workspace = Workspace(make_workspace(tmp_path / "w", names))
    pool = workspace.root / "pool"
    (pool / "disk1").rename(workspace.root / "away")
    if is_folder_kept:
        (pool / "disk1").mkdir()
    (pool / "disk2/c.png").unlink()
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        assert session.open().image.sample_id == "disk1/a.png"
        session.grid()
        session.close()
    assert [name for name, state in states(workspace).items() if state != "ok"] == ["disk2/c.png"]


@pytest.mark.parametrize("source", ["pool", "pool/list.csv"])
def test_is_gone_makes_one_file_system_call(workspace, monkeypatch, source):
    (workspace.root / "pool/list.csv").write_text("file_name\n" + "\n".join(NAMES))
    remove(workspace, "b.png")
    checker = FileChecker(workspace.root, source)
    assert not checker.is_gone(SampleId("a.png"))
    calls = []
    for name in ("stat", "lstat"):
        original = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda path, *args, _real=original, **kwargs: (
                calls.append(path) or _real(path, *args, **kwargs)
            ),
        )
    assert not checker.is_gone(SampleId("c.png"))
    assert checker.is_gone(SampleId("b.png"))
    monkeypatch.undo()
    assert len(calls) == 2


@pytest.mark.parametrize("is_next_gone", [False, True])
def test_many_missing_images_are_set_aside_in_one_write(tmp_path, monkeypatch, is_next_gone):
    names = [f"{number:02d}.png" for number in range(30)]
    workspace = Workspace(make_workspace(tmp_path / "w", names))
    writes = []
    original = SqliteStore.set_states
    monkeypatch.setattr(
        SqliteStore,
        "set_states",
        lambda self, states: (writes.append(states), original(self, states)),
    )
    first = 1 if is_next_gone else 2
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open()
        remove(workspace, *names[first:-1])
        view = session.answer(first_class(view))
        assert view.image.sample_id == names[-1 if is_next_gone else 1]
        assert len(writes) == 1
        assert view.progress.left == 30 - 1 - len(names[first:-1])
        assert "set aside, its file is gone: " in view.note
        session.close()
    gone = {name for name, state in states(workspace).items() if state == "missing"}
    assert gone == {*names[first:-1]}


def test_shown_image_stays_while_others_are_set_aside(workspace):
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open()
        remove(workspace, "a.png", "c.png")
        assert session.view().image.sample_id == "a.png"
        assert states(workspace)["a.png"] == "ok"
        assert states(workspace)["c.png"] == "missing"
        assert not session.answer(first_class(view)).is_refused
        session.close()
    assert labels(workspace) == {"a.png": "cat"}


def test_image_missing_before_it_was_shown_cannot_be_answered(workspace):
    (workspace.root / "pool/list.csv").write_text("file_name\n" + "\n".join(NAMES))
    text = (workspace.root / "dgaal.toml").read_text()
    (workspace.root / "dgaal.toml").write_text(text.replace('"pool"', '"pool/list.csv"'))
    remove(workspace, "a.png")
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open(is_hurried=True)
        assert view.image.sample_id == "a.png"  # lists are checked after the first frame
        press = Press(op_id=new_op_id(), kind="cannot_tell", item_id=view.image.item_id)
        view = session.answer(press)
        assert view.is_refused
        assert view.note.startswith("not saved; set aside, its file is gone: a.png")
        assert view.image.sample_id == "b.png"
        session.close()


@pytest.mark.parametrize("is_folder_kept", [False, True])
def test_unmounted_pool_sets_no_image_aside(workspace, is_folder_kept):
    pool = workspace.root / "pool"
    pool.rename(workspace.root / "away")
    if is_folder_kept:
        pool.mkdir()
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        with pytest.raises(PoolGoneError, match="pool"):
            session.open()
        session.close()
    assert set(states(workspace).values()) == {"ok"}


def test_images_of_a_list_on_an_unmounted_disk_are_kept(workspace):
    (workspace.root / "list.csv").write_text(
        "file_name,id\n" + "".join(f"pool/{name},{name}\n" for name in NAMES)
    )
    text = (workspace.root / "dgaal.toml").read_text()
    (workspace.root / "dgaal.toml").write_text(text.replace('"pool"', '"list.csv"'))
    put_back = remove(workspace, *NAMES)
    with pytest.raises(PoolGoneError, match=r"list\.csv"):
        answer_lines(workspace, "q")
    assert set(states(workspace).values()) == {"ok"}
    put_back()
    remove(workspace, "b.png")
    answer_lines(workspace, "cat", "q")
    assert states(workspace)["b.png"] == "missing"


def test_answer_to_an_image_replaced_meanwhile_is_refused(workspace):
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open()
        replace(workspace, "a.png")
        uid = view.classes[0].uid
        item_id = view.image.item_id
        view = session.answer(
            Press(op_id=new_op_id(), kind="label", item_id=item_id, label=as_label(uid))
        )
        assert view.is_refused
        assert view.note.startswith("not saved; set aside")
        assert view.image.sample_id == "b.png"
        before = replace(workspace, "b.png")
        page = [
            Press(op_id=new_op_id(), kind="label", item_id=image.item_id, label=as_label(uid))
            for image in (view.image, *view.upcoming)
        ]
        view = session.answer_page(page)
        assert "b.png" in view.note
        (workspace.root / "pool/b.png").write_bytes(before)
        session.close()
    assert labels(workspace) == {"c.png": "cat", "d.png": "cat"}


def test_changed_answer_to_a_replaced_image_is_refused(workspace):
    label_all(workspace)
    replace(workspace, "a.png")
    with open_session(workspace, config(workspace), annotator="ann") as opener:
        session = opener()
        view = session.open()
        answered = next(g for g in session.review() if g.sample_id == "a.png")
        dog = view.classes[1].uid
        view = session.change(
            Press(op_id=new_op_id(), kind="label", item_id=answered.item_id, label=as_label(dog))
        )
        assert view.is_refused
        session.close()
    assert labels(workspace)["a.png"] == "cat"


@pytest.mark.parametrize("is_cached", [False, True])
def test_training_skips_changed_missing_and_unreadable_images(workspace, is_cached):
    label_all(workspace)
    if is_cached:
        gathered(workspace)
    before = replace(workspace, "a.png")
    (workspace.root / "pool/b.png").write_bytes(b"text")
    (workspace.root / "pool/c.png").rename(workspace.root / "c.png")
    found, messages = gathered(workspace)
    assert [item.sample_id for item in found.items] == ["d.png"]
    assert found.data.pixels.shape[0] == 1
    assert found.data.targets.tolist() == [1]
    assert len(messages) == 1
    assert (
        "missing: 1 image (c.png); changed: 1 image (a.png); unreadable: 1 image (b.png)"
        in (messages[0])
    )
    assert states(workspace) == {
        "a.png": "changed",
        "b.png": "quarantined",
        "c.png": "missing",
        "d.png": "ok",
    }
    assert gathered(workspace)[1] == []
    printed = CliRunner().invoke(app, ["-C", str(workspace.root), "status"]).stdout
    assert "  left out: a.png: its file was replaced\n" in printed
    assert "  left out: c.png: its file is gone\n" in printed
    assert f"  unreadable: b.png: {not_an_image().reason}\n" in printed
    (workspace.root / "pool/a.png").write_bytes(before)
    (workspace.root / "c.png").rename(workspace.root / "pool/c.png")
    found, messages = gathered(workspace)
    assert [item.sample_id for item in found.items] == ["a.png", "c.png", "d.png"]
    assert found.data.targets.tolist() == [0, 0, 1]
    assert messages == ["restored: 2 images (a.png, c.png)"]
    assert len(labels(workspace)) == 4


def test_missing_pool_changes_no_image_state(workspace):
    for name in NAMES:
        (workspace.root / "pool" / name).rename(workspace.root / name)
    (workspace.root / "pool/new.png").write_bytes((workspace.root / "a.png").read_bytes())
    with pytest.raises(PoolGoneError, match="contains none of the images"):
        gathered(workspace)
    assert set(states(workspace).values()) == {"ok"}


def test_images_that_are_not_files_are_asked_without_a_check(workspace):
    (workspace.root / "dgaal.toml").write_text('[pool]\nsource = "builtin:digits"\n')
    replace(workspace, "a.png")
    answer_lines(workspace, "dog", "q")
    assert labels(workspace) == {SampleId("a.png"): "dog"}
