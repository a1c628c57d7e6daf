"""The labeling session without a screen: stored answers, undo, and restarts."""

import json

import pytest
from class_labels import name_of

from dgaal_cli.api.label import open_session
from dgaal_cli.errors import BusyError, StorageError, UsageError
from dgaal_cli.labeling.annotators import check_annotator, new_op_id
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import LabelView, Press
from dgaal_cli.rounds.learning_curve import learning_curve
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Query, QueryEntry
from dgaal_cli.store.sqlite.store import SqliteStore
from tests.support.class_labels import as_label


@pytest.fixture
def start_session(make_workspace, config, clock):
    """Return a function that opens sessions, which are closed after the test."""
    opened: list[LabelSession] = []

    def start(
        workspace=None, *, annotator: str = "ann", **kwargs
    ) -> tuple[LabelSession, LabelView]:
        workspace = workspace or make_workspace(**kwargs)
        session = LabelSession(
            open_store(workspace.store_path),
            config=config,
            workspace=workspace,
            annotator=annotator,
            clock=clock,
        )
        opened.append(session)
        return session, session.open()

    yield start
    for session in opened:
        session.close()


def press(view: LabelView, name: str | None = None, kind: str = "label", **more) -> Press:
    assert view.image is not None
    uid = next(c.uid for c in view.classes if c.name == name) if name else None
    return Press(
        op_id=new_op_id(),
        kind=kind,  # type: ignore[arg-type]
        item_id=view.image.item_id,
        label=as_label(uid),
        elapsed_ms=500,
        **more,
    )


def sample_id(view: LabelView) -> str:
    return view.image.sample_id if view.image else ""


def test_first_view_has_the_first_image_and_the_upcoming_ones(start_session):
    _, view = start_session()
    assert view.state == "labeling"
    assert sample_id(view) == "000.png"
    assert [s.sample_id for s in view.upcoming] == ["001.png", "002.png", "003.png"]
    assert (view.progress.size, view.progress.left) == (4, 4)
    assert view.name == "digits"


def test_answer_is_stored_before_the_view_is_returned(start_session, make_workspace):
    workspace = make_workspace()
    session, view = start_session(workspace)
    after = session.answer(press(view, "three", ui="probs"))
    with open_store(workspace.store_path, read_only=True) as other:
        (label,) = other.labels()
        name = name_of(other, label)
        (event,) = list(other.events())
    assert (label.sample_id, name, label.annotator) == ("000.png", "three", "ann")
    assert (event.ui, event.elapsed_ms) == ("probs", 500)
    assert sample_id(after) == "001.png"
    assert after.progress.labeled == 1
    assert [(g.kind, after.label_name(g.label)) for g in after.history] == [("label", "three")]


def test_same_press_twice_is_one_label(start_session):
    session, view = start_session()
    same_press = press(view, "three")
    session.answer(same_press)
    again = session.answer(same_press)
    assert again.progress.labeled == 1
    assert again.labeled == 1


def test_tally_equals_the_counts_of_the_store(start_session):
    session, view = start_session(asked=8, synthetic=2)
    for kind in ("label", "skip", "cannot_tell", *["label"] * 6):
        view = session.answer(press(view, "two" if kind == "label" else None, kind=kind))
    counts = session._store.counts()
    assert view.labeled == counts.labeled
    assert view.by_class == counts.by_class
    assert view.spent == counts.annotations
    assert any(g.is_synthetic for g in view.history)
    session.undo()
    assert session.view().labeled == session._store.counts().labeled


def test_skipped_image_is_asked_last(start_session):
    session, view = start_session(asked=2)
    view = session.answer(press(view, kind="skip"))
    assert sample_id(view) == "001.png"
    view = session.answer(press(view, "one"))
    assert sample_id(view) == "000.png"
    assert session.answer(press(view, "two")).state == "answered"


def test_cannot_tell_finishes_an_image_without_a_label(start_session):
    session, view = start_session(asked=1)
    view = session.answer(press(view, kind="cannot_tell"))
    assert view.state == "answered"
    assert (view.progress.cannot_tell, view.labeled) == (1, 0)


def test_undo_shows_the_image_with_its_former_answer(start_session):
    session, view = start_session()
    view = session.answer(press(view, "three"))
    view = session.undo()
    assert sample_id(view) == "000.png"
    assert view.before is not None
    assert view.label_name(view.before.label) == "three"
    assert view.history == ()
    assert view.labeled == 0


def test_all_answers_can_be_undone_and_redone(start_session):
    session, view = start_session(asked=3)
    for name in ("one", "two", "three"):
        view = session.answer(press(view, name))
    assert view.state == "answered"
    for expected in ("002.png", "001.png", "000.png"):
        view = session.undo()
        assert sample_id(view) == expected
    assert session.undo().note == "nothing to undo in this round"
    for _ in range(3):
        view = session.redo()
    assert view.state == "answered"
    assert [view.label_name(g.label) for g in view.history] == ["three", "two", "one"]
    assert session.redo().note == "nothing to redo"


def confirm(session: LabelSession, count: int) -> list[str]:
    """Confirm the first guesses as a page of the grid."""
    page = session.grid()[:count]
    presses = [
        Press(
            op_id=new_op_id(),
            kind="label",
            item_id=s.item_id,
            label=as_label(s.predicted),
            ui="prefilled",
        )
        for s in page
    ]
    session.answer_page(presses)
    return [s.sample_id for s in page]


def labeled(session: LabelSession) -> set[str]:
    return {record.sample_id for record in session._store.labels()}


def test_undo_of_a_page_keeps_later_answers(start_session):
    session, _ = start_session(asked=10, guess=3)
    page = set(confirm(session, 4))
    view = session.view()
    singles = set[str]()
    for _ in range(3):
        singles.add(sample_id(view))
        view = session.answer(press(view, "five"))
    view = session.undo_page()
    assert "you did more after that page" in view.note
    assert labeled(session) == page | singles
    for _ in range(3):
        session.undo()
    assert "took 4 answers back" in session.undo_page().note
    assert labeled(session) == set()
    assert "no page to undo" in session.undo_page().note


def test_undo_of_a_page_removes_its_remaining_answers(start_session):
    session, _ = start_session(asked=10, guess=3)
    first = set(confirm(session, 3))
    confirm(session, 4)
    session.undo()
    assert "took 3 answers back" in session.undo_page().note
    assert labeled(session) == first
    session.flag()
    assert "you did more" in session.undo_page().note
    session.undo()
    for _ in range(3):
        session.undo()
    assert "no page to undo" in session.undo_page().note
    assert labeled(session) == set()


def test_answers_can_be_undone_after_a_restart(start_session, make_workspace):
    workspace = make_workspace()
    session, view = start_session(workspace)
    view = session.answer(press(view, "one"))
    view = session.answer(press(view, kind="cannot_tell"))
    session.answer(press(view, "five"))
    session.undo()
    session.close()
    again, view = start_session(workspace)
    assert [g.kind for g in view.history] == ["cannot_tell", "label"]
    assert sample_id(view) == "002.png"
    assert sample_id(again.undo()) == "001.png"


def test_flag_keeps_the_image_and_is_toggled(start_session):
    session, view = start_session()
    view = session.flag()
    assert view.image is not None
    assert view.image.is_flagged
    assert sample_id(view) == "000.png"
    view = session.flag()
    assert view.image is not None
    assert not view.image.is_flagged


@pytest.fixture
def fail_once(monkeypatch):
    """Return a function that makes a store method fail once, after it has committed."""

    def patch_method(name):
        original = getattr(SqliteStore, name)

        def fail(self, *args, **kwargs):
            monkeypatch.setattr(SqliteStore, name, original)
            original(self, *args, **kwargs)
            raise BusyError("held by process 1")

        monkeypatch.setattr(SqliteStore, name, fail)

    return patch_method


def event_kinds(workspace):
    with open_store(workspace.store_path, read_only=True) as store:
        return [event.kind for event in store.events()]


@pytest.mark.parametrize("action", ["undo", "redo", "flag"])
def test_action_retried_after_an_error_is_done_once(
    start_session, make_workspace, fail_once, action
):
    workspace = make_workspace()
    session, view = start_session(workspace)
    view = session.answer(press(view, "one"))
    view = session.answer(press(view, "two"))
    if action == "redo":
        session.undo()
        session.undo()
    before = event_kinds(workspace)
    fail_once("submit" if action == "flag" else action)
    with pytest.raises(BusyError):
        getattr(session, action)()
    view = getattr(session, action)()
    assert event_kinds(workspace) == [*before, action]
    assert sample_id(view) == {"undo": "001.png", "redo": "001.png", "flag": "002.png"}[action]
    if action != "flag":
        getattr(session, action)()
        assert event_kinds(workspace) == [*before, action, action]


def test_same_action_after_another_action_is_new(start_session, make_workspace, fail_once):
    workspace = make_workspace()
    session, view = start_session(workspace)
    session.answer(press(view, "one"))
    fail_once("undo")
    with pytest.raises(BusyError):
        session.undo()
    session.answer(press(session.view(), "two"))
    session.undo()
    assert event_kinds(workspace) == ["label", "undo", "label", "undo"]


def test_undo_of_a_page_continues_after_an_error(start_session, make_workspace, fail_once):
    workspace = make_workspace(guess=3)
    session, view = start_session(workspace)
    page = [
        Press(op_id=new_op_id(), kind="label", item_id=s.item_id, label=as_label(s.predicted))
        for s in session.grid()
    ]
    assert len(page) >= 3
    session.answer_page(page)
    fail_once("undo")
    with pytest.raises(BusyError):
        session.undo_page()
    view = session.undo_page()
    assert event_kinds(workspace) == ["label"] * len(page) + ["undo"] * len(page)
    assert view.labeled == 0


def test_first_class_can_be_added(start_session):
    session, view = start_session(classes=[])
    assert view.classes == ()
    view = session.add_class("crab")
    assert [c.name for c in view.classes] == ["crab"]
    assert session.answer(press(view, "crab")).labeled == 1
    with pytest.raises(UsageError):
        session.add_class("crab")


def test_view_is_empty_without_a_query(start_session):
    _, view = start_session(asked=0)
    assert (view.state, view.image, view.round) == ("empty", None, None)


def test_session_waits_for_images_of_other_annotators(start_session, make_workspace):
    workspace = make_workspace(asked=1)
    start_session(workspace, annotator="ann")
    _, view = start_session(workspace, annotator="bob")
    assert view.state == "waiting"


def open_next_query(workspace, *positions: int) -> None:
    """Close the query and open the query of the next round, as another person's training does."""
    with open_store(workspace.store_path) as store:
        number = store.open_query().round
        store.close_query(number)
        items = store.items()
        entries = tuple(
            QueryEntry(item_id=items[position].item_id, rank=rank)
            for rank, position in enumerate(positions, start=1)
        )
        store.save_query(
            Query(round=number + 1, strategy="margin", model_sha=None, entries=entries)
        )


def test_session_follows_a_round_started_elsewhere(start_session, make_workspace):
    workspace = make_workspace()
    session, view = start_session(workspace)
    view = session.answer(press(view, "three"))
    open_next_query(workspace, 7, 8, 9)
    late = press(view, "four")
    view = session.answer(late)
    assert sample_id(view) == "007.png"
    assert (view.round, view.strategy) == (1, "margin")
    assert (view.progress.size, view.progress.left) == (3, 3)
    assert "the images of round 1" in view.note
    assert view.labeled == 2
    view = session.answer(press(view, "five"))
    assert (view.note, view.progress.left) == ("", 2)
    open_next_query(workspace, 10)
    view = session.undo()
    assert (view.round, sample_id(view)) == (2, "010.png")
    assert view.labeled == 3


def test_open_page_is_stored_after_a_round_started_elsewhere(start_session, make_workspace):
    workspace = make_workspace(guess=3)
    session, _ = start_session(workspace)
    ids = [image.item_id for image in session.grid()]
    open_next_query(workspace, 7, 8)
    uid = session.view().classes[3].uid
    view = session.answer_page(
        [Press(op_id=new_op_id(), kind="label", item_id=i, label=as_label(uid)) for i in ids]
    )
    assert (view.round, sample_id(view), view.labeled) == (1, "007.png", 4)
    view = session.undo_page()
    assert (view.round, view.labeled) == (1, 0)


def test_finish_query_returns_unanswered_images_to_the_pool(start_session):
    session, view = start_session()
    session.answer(press(view, "one"))
    assert session.finish_query() == 3
    assert session.open().state == "empty"


def test_answer_time_limits_long_pauses(start_session, clock):
    session, view = start_session()
    for seconds in (2.0, 4.0, 500.0):
        clock.now += seconds
        view = session.answer(press(view, "one"))
    assert view.answer_s == pytest.approx((0.5 + 4.0 + 30.0) / 3)


def test_agreement_counts_only_labels_with_a_guess(start_session):
    session, view = start_session(guess=3)
    view = session.answer(press(view, "three"))
    view = session.answer(press(view, "four"))
    view = session.answer(press(view, kind="skip"))
    assert view.agreed == (1, 2)


def test_press_can_be_repeated_after_a_storage_error(start_session, monkeypatch):
    session, view = start_session()
    same_press = press(view, "three")

    def full(*args, **kwargs):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "submit", full)
        with pytest.raises(StorageError):
            session.answer(same_press)
    assert sample_id(session.view()) == "000.png"
    assert session.answer(same_press).labeled == 1


def test_second_session_of_one_annotator_is_refused(make_workspace, config):
    workspace = make_workspace()
    with open_session(workspace, config, annotator="ann"):
        with (
            pytest.raises(BusyError, match="process"),
            open_session(workspace, config, annotator="ann"),
        ):
            pass
        with open_session(workspace, config, annotator="bob"):
            pass


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".x", "\x1b[2J", "x" * 101])
def test_invalid_annotator_name_is_refused(name):
    with pytest.raises(UsageError):
        check_annotator(name)


def test_learning_curve_skips_damaged_and_missing_points(make_workspace):
    workspace = make_workspace()
    contents = [
        '{"labels": 10, "accuracy": 0.5}',
        "{",
        '{"labels": 30}',
        '{"labels": 40, "accuracy": 7}',
    ]
    contents += ['{"labels": 60, "accuracy": 1.0, "measured_count": 3, "round": 9}']
    contents += [
        '{"labels": 50, "accuracy": 0.9, "round": 4}',
        json.dumps([1]),
        '{"accuracy": null}',
    ]
    for number, content in enumerate(contents):
        folder = workspace.round_path(number)
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(content)
    points = [(p.round, p.labels, p.accuracy) for p in learning_curve(workspace)]
    assert points == [(0, 10, 0.5), (9, 60, 1.0), (4, 50, 0.9)]
    assert [p.measured for p in learning_curve(workspace)] == [None, 3, None]
