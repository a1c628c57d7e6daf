"""A session in a fresh workspace asks images at once."""

import io
import threading

import pytest
from class_labels import as_label
from label_workspaces import make_workspace

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.label import label, open_session
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.labeling.view import Press
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds import pool_rows
from dgaal_cli.rounds.state import round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.tui.plain import run_plain

NAMES = [f"{number:03d}.png" for number in range(200)]


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace of 200 images as ``init`` leaves it."""
    root = make_workspace(tmp_path / "w", NAMES)
    (root / "labels.db").unlink()
    (root / "dgaal.toml").unlink()
    pool, classes = str(root / "pool"), ("cat", "dog")
    return init(
        InitRequest(root=root, pool=pool, base=root, classes=classes, query_size=5)
    ).workspace


def opened(workspace, *assignments):
    """Return the first view of a session."""
    with label(workspace, configuration(workspace, *assignments), annotator="ann") as session:
        return session.open()


def answer_all(session, view):
    while view.image is not None:
        press = Press(kind="label", item_id=view.image.item_id, label=as_label(view.classes[0].uid))
        view = session.answer(press)
    return view


def test_fresh_workspace_asks_images_and_says_how_they_were_chosen(workspace):
    view = opened(workspace)
    assert (view.state, view.round, view.progress.size) == ("labeling", 0, 5)
    assert view.strategy == "maxherding"
    assert "nothing is trained yet: images are chosen by 'maxherding'" in view.note
    assert "pip install 'dgaal[encoder]'" in view.note
    assert len((workspace.round_path(0) / "query.csv").read_text().splitlines()) == 6


def test_query_of_the_first_session_stays(workspace):
    first, second = opened(workspace), opened(workspace)
    assert first.image == second.image
    assert second.note == ""


def test_control_without_the_setting_nothing_is_asked(workspace):
    assert opened(workspace, "label.at_once=false").state == "empty"


def test_answered_first_query_is_followed_by_the_training_of_the_next_round(workspace):
    with label(workspace, configuration(workspace), annotator="ann") as session:
        view = answer_all(session, session.open())
    assert (view.state, view.next_step) == ("answered", "train")
    assert opened(workspace).state == "answered"
    with open_store(workspace) as store:
        state = round_state(workspace, store)
    assert (state.step, state.number) == ("train", 1)


def test_random_method_asks_at_random(workspace):
    view = opened(workspace, "method=random")
    assert (view.strategy, view.note) == ("random", "")


def test_line_mode_asks_at_once(workspace):
    sink = io.StringIO()
    with open_session(workspace, configuration(workspace), annotator="ann") as opener:
        assert run_plain(opener, io.StringIO("cat\nq\n"), sink) == 0
    assert "saved: cat. 1 of 5." in sink.getvalue()


def test_two_sessions_that_start_together_share_the_query(workspace):
    views = []

    def start(name):
        with label(workspace, configuration(workspace), annotator=name) as session:
            views.append(session.open())

    threads = [threading.Thread(target=start, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [view.progress.size for view in views] == [5, 5]


def test_missing_pool_is_an_error_and_asks_nothing(workspace):
    (workspace.root / "pool").rename(workspace.root / "away")
    with pytest.raises(PoolGoneError):
        opened(workspace)
    with open_store(workspace) as store:
        assert store.last_query() is None


def test_spent_budget_is_said(workspace):
    with open_store(workspace) as store:
        assert len(store.unanswered()) == 200
    view = opened(workspace, "query.budget=1", "query.overlap=2")
    assert view.state == "empty"
    assert view.note.startswith("no images were chosen: the budget of 1 labels is spent")


def test_little_time_gives_a_choice_among_some_images(workspace, monkeypatch):
    monkeypatch.setattr(pool_rows, "URGENT_S", 0.0)
    assert opened(workspace).progress.size == 5


def test_labeling_continues_by_features_where_no_training_is_possible(workspace):
    """As on a host without PyTorch."""
    with label(workspace, configuration(workspace), annotator="ann") as session:
        answer_all(session, session.open())
        view = session.label_on()
        assert view.note == "5 images, chosen by maxherding"
        assert (view.progress.size, view.progress.left) == (10, 5)
        assert view.image.reason == "stands for many images without labels"
        assert answer_all(session, view).labeled == 10
