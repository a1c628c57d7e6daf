"""Another program changes the file of the label store while a client has it open.

Each answer that a client calls saved must be in the store, or in the file of rescued answers that
the message names.
"""

import contextlib
import io
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from class_labels import name_of
from label_terminal import starter
from label_workspaces import make_workspace

from dgaal_cli.api.label import label
from dgaal_cli.api.labels import import_labels
from dgaal_cli.config.load import build_config
from dgaal_cli.errors import DgaalError, StoreChangedError
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import Press
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.sqlite import connection, watch
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.tui.plain import run_plain
from dgaal_cli.workspace import Workspace

COUNT = 6
FALSE_COMFORT = re.compile("are safe|was lost|not lost|nothing saved")
CONFIG = build_config({"pool": {"source": "pool"}, "name": "outside"})


@dataclass
class Client:
    """What a client showed."""

    saved: dict[str, str] = field(default_factory=dict)
    """Class of each image whose answer was called saved."""
    text: str = ""
    """All that it printed, and its error."""
    code: int = 0


# What another program does


def emptied(root: Path) -> None:
    os.truncate(root / "labels.db", 0)


def halved(root: Path) -> None:
    os.truncate(root / "labels.db", (root / "labels.db").stat().st_size // 2)


def filled_with_zeros(root: Path) -> None:
    (root / "labels.db").write_bytes(bytes((root / "labels.db").stat().st_size))


def deleted(root: Path) -> None:
    (root / "labels.db").unlink()


def overwritten_by_older(root: Path) -> None:
    shutil.copyfile(root / "older.db", root / "labels.db")


def overwritten_by_another_line(root: Path) -> None:
    """Write an older copy in which another person has answered since."""
    shutil.copyfile(root / "older.db", root / "line.db")
    answer_as_bob(root / "line.db")
    shutil.copyfile(root / "line.db", root / "labels.db")


def overwritten_by_newer(root: Path) -> None:
    """Write a copy with all answers and one more: nothing is lost."""
    shutil.copyfile(root / "labels.db", root / "newer.db")
    answer_as_bob(root / "newer.db")
    shutil.copyfile(root / "newer.db", root / "labels.db")


def overwritten_by_another_workspace(root: Path) -> None:
    other = make_workspace(root / "other", [f"{n}.png" for n in range(COUNT)])
    shutil.copyfile(other / "labels.db", root / "labels.db")


def replaced_by_older(root: Path) -> None:
    shutil.copyfile(root / "older.db", root / "renamed.db")
    (root / "renamed.db").replace(root / "labels.db")


def replaced_by_same(root: Path) -> None:
    shutil.copyfile(root / "labels.db", root / "renamed.db")
    (root / "renamed.db").replace(root / "labels.db")


def restored(root: Path) -> None:
    store_location(root / "labels.db").restore()


def untouched(_root: Path) -> None:
    pass


LOSING = [
    emptied,
    halved,
    filled_with_zeros,
    deleted,
    overwritten_by_older,
    overwritten_by_another_line,
    overwritten_by_another_workspace,
    replaced_by_older,
    restored,
]
HARMLESS = [untouched, overwritten_by_newer, replaced_by_same]
CHANGES = pytest.mark.parametrize("change", LOSING + HARMLESS, ids=lambda change: change.__name__)


MOMENTS = pytest.mark.parametrize(
    "more",
    [pytest.param(0, marks=pytest.mark.slow, id="then_leave"), pytest.param(1, id="then_answer")],
)
"""Answers after the change."""


def answer_as_bob(path: Path) -> None:
    with open_store(path) as store:
        session = LabelSession(
            store, config=CONFIG, workspace=Workspace(path.parent), annotator="bob"
        )
        press(session, session.open())


def press(session: LabelSession, view):
    uid = view.classes[0].uid
    return session.answer(Press(kind="label", item_id=view.image.item_id, label=class_label(uid)))


# Clients: two answers, the change, then ``more`` answers, then the end


def use_api(root: Path, change: Callable[[Path], None], more: int) -> Client:
    client = Client()
    try:
        with label(Workspace(root), CONFIG, annotator="ann") as session:
            view = session.open()
            for number in range(2 + more):
                if number == 2:
                    change(root)
                name = view.image.sample_id
                view = press(session, view)
                client.saved[name] = view.classes[0].name
            if not more:
                change(root)
    except DgaalError as error:
        client.text, client.code = str(error), error.exit_code
    return client


class Lines(io.StringIO):
    """Input that changes the store before line 3."""

    def __init__(self, lines: list[str], change: Callable[[], None]) -> None:
        super().__init__("".join(f"{line}\n" for line in lines))
        self._change = change
        self._read = 0

    def readline(self, size: int | None = -1, /) -> str:
        if self._read == 2:
            self._change()
        self._read += 1
        return super().readline()


def use_plain(root: Path, change: Callable[[Path], None], more: int) -> Client:
    def opener() -> LabelSession:
        return LabelSession(
            open_store(root / "labels.db"),
            config=CONFIG,
            workspace=Workspace(root),
            annotator="ann",
        )

    client, sink = Client(), io.StringIO()
    source = Lines(["cat", "cat", *["cat"] * more, "q"], lambda: change(root))
    try:
        client.code = run_plain(opener, source, sink)
    except DgaalError as error:
        client.code, client.text = error.exit_code, str(error)
    client.text += sink.getvalue()
    asked = re.findall(r"image (\S+\.png)\..*\nsaved: (\w+)", sink.getvalue())
    client.saved = dict(asked)
    return client


class Second:
    """A clock of which tests move the hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def use_screen(root: Path, change: Callable[[Path], None], more: int) -> Client:
    from dgaal_cli.data.image_reader import ImageReader
    from dgaal_cli.tui.screens.dialogs import UnsavedDialog

    client = Client()
    start = starter(None, CONFIG, Second(), lambda: ImageReader(root, "pool"))
    try:
        async with start(workspace=Workspace(root)) as t:
            for _ in range(2):
                name = t.image.sample_id
                await t.press("1")
                assert t.image.sample_id != name
                client.saved[name] = "cat"
            change(root)
            for _ in range(more):
                name = t.image.sample_id
                t.clock.now += 1
                await t.pilot.press("1")
                await t.until(lambda: not t.pending or isinstance(t.app.screen, UnsavedDialog))
                if isinstance(t.app.screen, UnsavedDialog):
                    client.text += t.dialog()
                    break
                await t.settle()
                client.saved[name] = "cat"
    except DgaalError as error:
        client.code = error.exit_code
        client.text += str(error)
    return client


# What must hold


def found(root: Path) -> dict[str, str]:
    """Return the labels of the store and of the rescued files."""
    labels: dict[str, str] = {}
    with (
        contextlib.suppress(DgaalError),
        open_store(root / "labels.db", read_only=True) as store,
    ):
        labels = {r.sample_id: name_of(store, r) for r in store.labels() if r.annotator == "ann"}
    for path in root.glob("labels-rescued-*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        labels |= {line["file_name"]: line["label"] for line in lines}
    return labels


def check(root: Path, client: Client, *, is_losing: bool) -> None:
    """Check that each answer called saved is found, and that the message is true."""
    assert len(client.saved) >= 2
    there = found(root)
    missing = [name for name, text in client.saved.items() if there.get(name) != text]
    assert missing == []
    assert not FALSE_COMFORT.search(client.text)
    rescued = list(root.glob("labels-rescued-*.jsonl"))
    assert len(rescued) == is_losing
    if is_losing:
        assert client.code == 4
        assert rescued[0].name in client.text
        count = len(rescued[0].read_text().splitlines())
        assert f"{count} answers saved in this session are no longer there" in client.text
        assert rescued[0].stat().st_mode & 0o777 == 0o600
        assert "everything is saved" not in client.text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a backup and an older copy of its store."""
    root = make_workspace(tmp_path / "w", [f"{n}.png" for n in range(COUNT)])
    with open_store(root / "labels.db") as store:
        store.back_up()
    shutil.copyfile(root / "labels.db", root / "older.db")
    return root


@CHANGES
@MOMENTS
@pytest.mark.parametrize("use", [pytest.param(use_api, marks=pytest.mark.slow), use_plain])
def test_answers_called_saved_are_in_the_store_or_rescued(root, use, change, more):
    check(root, use(root, change, more), is_losing=change in LOSING)


@pytest.mark.slow
@CHANGES
@MOMENTS
async def test_screen_calls_no_lost_answer_saved(root, change, more):
    check(root, await use_screen(root, change, more), is_losing=change in LOSING)


def change_before_commit(monkeypatch, change: Callable[[], None]) -> None:
    """Change the store once, after an answer was written and before it is committed."""
    real = watch.FileWatch.expect

    def expect(self, opened):
        monkeypatch.setattr(watch.FileWatch, "expect", real)
        change()
        return real(self, opened)

    monkeypatch.setattr(watch.FileWatch, "expect", expect)


@pytest.mark.parametrize("change", [deleted, replaced_by_older])
def test_change_within_the_transaction_is_noticed_after_commit(root, monkeypatch, change):
    with label(Workspace(root), CONFIG, annotator="ann") as session:
        view = session.open()
        change_before_commit(monkeypatch, lambda: change(root))
        with pytest.raises(StoreChangedError):
            press(session, view)


def swap_in_twin(root: Path) -> None:
    """Overwrite the store by a copy with other events, as many pages and the same counter."""
    twin = root / "twin.db"
    shutil.copyfile(root / "older.db", twin)
    with open_store(twin) as store:
        session = LabelSession(store, config=CONFIG, workspace=Workspace(root), annotator="ann")
        view = session.open()
        for _ in range(2):
            view = press(session, view)
    # SQLite keeps its cached pages if these bytes of the header are equal.
    assert twin.read_bytes()[24:40] == (root / "labels.db").read_bytes()[24:40]
    shutil.copyfile(twin, root / "labels.db")


def test_copy_with_the_same_change_counter_is_noticed(root):
    check(root, use_api(root, swap_in_twin, 1), is_losing=True)


def test_rescued_answers_can_be_imported(root):
    client = use_api(root, restored, 1)
    (path,) = root.glob("labels-rescued-*.jsonl")
    import_labels(Workspace(root), path)
    with open_store(root / "labels.db", read_only=True) as store:
        assert {r.sample_id: name_of(store, r) for r in store.labels()} == client.saved
        assert {r.annotator for r in store.labels()} == {"ann"}
        assert {r.provenance for r in store.labels()} == {"human"}


def test_lost_undo_is_rescued_and_can_be_imported(root):
    with pytest.raises(StoreChangedError, match="1 undo saved in this session is"):
        undo_then_change(root)
    (path,) = root.glob("labels-rescued-*.jsonl")
    with open_store(root / "labels.db", read_only=True) as store:
        assert len(store.labels()) == 1
    import_labels(Workspace(root), path)
    with open_store(root / "labels.db", read_only=True) as store:
        assert store.labels() == []


def undo_then_change(root: Path) -> None:
    with label(Workspace(root), CONFIG, annotator="ann") as session:
        press(session, session.open())
        shutil.copyfile(root / "labels.db", root / "older.db")
        press(session, session.undo())
        session.undo()
        overwritten_by_older(root)


def test_message_lists_the_answers_if_no_file_can_be_written(root):
    client = use_api(root, lambda r: r.rename(r.with_name("moved")), 1)
    assert client.code == 4
    assert "no file can be written" in client.text
    assert all(f"{name}: cat" in client.text for name in client.saved)


def test_right_file_put_back_lets_the_session_continue(root):
    with label(Workspace(root), CONFIG, annotator="ann") as session:
        view = press(session, session.open())
        (root / "labels.db").rename(root / "aside.db")
        with pytest.raises(StoreChangedError):
            press(session, view)
        (root / "aside.db").rename(root / "labels.db")
        press(session, view)
    with open_store(root / "labels.db", read_only=True) as store:
        assert len(store.labels()) == 2


# Negative controls


def do_nothing(*_arguments) -> None:
    pass


def without_check(monkeypatch) -> None:
    monkeypatch.setattr(watch.FileWatch, "check", do_nothing)
    monkeypatch.setattr(watch.FileWatch, "check_path", do_nothing)


def with_check_at_opening_only(monkeypatch) -> None:
    opened = LabelSession.open

    def open_then_trust(session, **options):
        view = opened(session, **options)
        without_check(monkeypatch)
        return view

    monkeypatch.setattr(LabelSession, "open", open_then_trust)


@pytest.mark.slow
@pytest.mark.parametrize("change", LOSING, ids=lambda change: change.__name__)
@pytest.mark.parametrize("broken", [without_check, with_check_at_opening_only])
def test_control_missing_check_is_caught(root, monkeypatch, broken, change):
    broken(monkeypatch)
    with pytest.raises((AssertionError, sqlite3.Error)):
        check(root, use_plain(root, change, 1), is_losing=True)


def test_control_check_of_cached_pages_is_caught(root, monkeypatch):
    monkeypatch.setattr(connection, "forget_pages", do_nothing)
    with pytest.raises(AssertionError):
        check(root, use_api(root, swap_in_twin, 1), is_losing=True)


def test_control_no_check_after_commit_is_caught(root, monkeypatch):
    def change() -> None:
        deleted(root)
        without_check(monkeypatch)

    with label(Workspace(root), CONFIG, annotator="ann") as session:
        view = session.open()
        change_before_commit(monkeypatch, change)
        press(session, view)  # called saved
    assert found(root) == {}
