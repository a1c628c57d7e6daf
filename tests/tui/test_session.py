"""The session without a screen: what is stored, what undo brings back, what a restart finds."""

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
def open_it(make_workspace, config, clock):
    """Open sessions that are closed at the end."""
    opened: list[LabelSession] = []

    def open_(
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

    yield open_
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


def sample(view: LabelView) -> str:
    return view.image.sample_id if view.image else ""


def test_the_first_view_asks_the_first_image_and_foresees_the_next(open_it):
    _, view = open_it()
    assert view.state == "labeling"
    assert sample(view) == "000.png"
    assert [s.sample_id for s in view.upcoming] == ["001.png", "002.png", "003.png"]
    assert (view.progress.size, view.progress.left) == (4, 4)
    assert view.name == "digits"


def test_an_answer_is_in_the_store_when_the_view_comes_back(open_it, make_workspace):
    workspace = make_workspace()
    session, view = open_it(workspace)
    after = session.answer(press(view, "three", ui="probs"))
    with open_store(workspace.store_path, read_only=True) as other:
        (label,) = other.labels()
        name = name_of(other, label)
        (event,) = list(other.events())
    assert (label.sample_id, name, label.annotator) == ("000.png", "three", "ann")
    assert (event.ui, event.elapsed_ms) == ("probs", 500)
    assert sample(after) == "001.png"
    assert after.progress.labeled == 1
    assert [(g.kind, after.label_name(g.label)) for g in after.history] == [("label", "three")]


def test_the_same_press_twice_is_one_label(open_it):
    session, view = open_it()
    once = press(view, "three")
    session.answer(once)
    again = session.answer(once)
    assert again.progress.labeled == 1
    assert again.labeled == 1


def test_the_running_tally_equals_what_the_store_counts(open_it):
    session, view = open_it(asked=8, synthetic=2)
    kinds = ["label", "skip", "cannot_tell", "label", "label", "label", "label", "label", "label"]
    for kind in kinds:
        view = session.answer(press(view, "two" if kind == "label" else None, kind=kind))
    counts = session._store.counts()
    assert view.labeled == counts.labeled
    assert view.by_class == counts.by_class
    assert view.spent == counts.annotations
    assert any(g.is_synthetic for g in view.history)
    session.undo()
    assert session.view().labeled == session._store.counts().labeled


def test_a_skipped_image_returns_at_the_end(open_it):
    session, view = open_it(asked=2)
    view = session.answer(press(view, kind="skip"))
    assert sample(view) == "001.png"
    view = session.answer(press(view, "one"))
    assert sample(view) == "000.png"
    assert session.answer(press(view, "two")).state == "answered"


def test_cannot_tell_ends_an_image_without_a_class(open_it):
    session, view = open_it(asked=1)
    view = session.answer(press(view, kind="cannot_tell"))
    assert view.state == "answered"
    assert (view.progress.cannot_tell, view.labeled) == (1, 0)


def test_undo_shows_the_image_again_with_what_was_said(open_it):
    session, view = open_it()
    view = session.answer(press(view, "three"))
    view = session.undo()
    assert sample(view) == "000.png"
    assert view.before is not None
    assert view.label_name(view.before.label) == "three"
    assert view.history == ()
    assert view.labeled == 0


def test_undo_goes_back_to_the_start_and_redo_all_the_way_forth(open_it):
    session, view = open_it(asked=3)
    for name in ("one", "two", "three"):
        view = session.answer(press(view, name))
    assert view.state == "answered"
    for expected in ("002.png", "001.png", "000.png"):
        view = session.undo()
        assert sample(view) == expected
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


def test_undo_of_a_page_takes_back_nothing_that_came_after_it(open_it):
    session, _ = open_it(asked=10, guess=3)
    page = set(confirm(session, 4))
    view = session.view()
    singles = set[str]()
    for _ in range(3):
        singles.add(sample(view))
        view = session.answer(press(view, "five"))
    view = session.undo_page()
    assert "you did more after that page" in view.note
    assert labeled(session) == page | singles
    for _ in range(3):
        session.undo()
    assert "took 4 answers back" in session.undo_page().note
    assert labeled(session) == set()
    assert "no page to undo" in session.undo_page().note


def test_undo_of_a_page_takes_back_what_is_left_of_it(open_it):
    session, _ = open_it(asked=10, guess=3)
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


def test_a_restart_remembers_answers_and_can_undo_them(open_it, make_workspace):
    workspace = make_workspace()
    session, view = open_it(workspace)
    view = session.answer(press(view, "one"))
    view = session.answer(press(view, kind="cannot_tell"))
    session.answer(press(view, "five"))
    session.undo()
    session.close()
    again, view = open_it(workspace)
    assert [g.kind for g in view.history] == ["cannot_tell", "label"]
    assert sample(view) == "002.png"
    assert sample(again.undo()) == "001.png"


def test_a_flag_stays_with_the_image_and_is_toggled(open_it):
    session, view = open_it()
    view = session.flag()
    assert view.image is not None
    assert view.image.is_flagged
    assert sample(view) == "000.png"
    view = session.flag()
    assert view.image is not None
    assert not view.image.is_flagged


@pytest.fixture
def failing_once(monkeypatch):
    """Let a method of the store do its work, COMMIT and all, and then fail, once."""

    def arm(name):
        work = getattr(SqliteStore, name)

        def fail(self, *args, **kwargs):
            monkeypatch.setattr(SqliteStore, name, work)
            work(self, *args, **kwargs)
            raise BusyError("held by process 1")

        monkeypatch.setattr(SqliteStore, name, fail)

    return arm


def kinds(workspace):
    with open_store(workspace.store_path, read_only=True) as store:
        return [event.kind for event in store.events()]


@pytest.mark.parametrize("way", ["undo", "redo", "flag"])
def test_an_action_asked_again_after_an_error_is_done_once(
    open_it, make_workspace, failing_once, way
):
    workspace = make_workspace()
    session, view = open_it(workspace)
    view = session.answer(press(view, "one"))
    view = session.answer(press(view, "two"))
    if way == "redo":
        session.undo()
        session.undo()
    before = kinds(workspace)
    failing_once("submit" if way == "flag" else way)
    with pytest.raises(BusyError):
        getattr(session, way)()
    view = getattr(session, way)()
    assert kinds(workspace) == [*before, way]
    assert sample(view) == {"undo": "001.png", "redo": "001.png", "flag": "002.png"}[way]
    if way != "flag":
        getattr(session, way)()
        assert kinds(workspace) == [*before, way, way]


def test_an_action_after_another_one_is_a_new_one(open_it, make_workspace, failing_once):
    workspace = make_workspace()
    session, view = open_it(workspace)
    session.answer(press(view, "one"))
    failing_once("undo")
    with pytest.raises(BusyError):
        session.undo()
    session.answer(press(session.view(), "two"))
    session.undo()
    assert kinds(workspace) == ["label", "undo", "label", "undo"]


def test_taking_a_page_back_goes_on_after_an_error(open_it, make_workspace, failing_once):
    workspace = make_workspace(guess=3)
    session, view = open_it(workspace)
    page = [
        Press(op_id=new_op_id(), kind="label", item_id=s.item_id, label=as_label(s.predicted))
        for s in session.grid()
    ]
    assert len(page) >= 3
    session.answer_page(page)
    failing_once("undo")
    with pytest.raises(BusyError):
        session.undo_page()
    view = session.undo_page()
    assert kinds(workspace) == ["label"] * len(page) + ["undo"] * len(page)
    assert view.labeled == 0


def test_classes_can_be_added_from_none(open_it):
    session, view = open_it(classes=[])
    assert view.classes == ()
    view = session.add_class("crab")
    assert [c.name for c in view.classes] == ["crab"]
    assert session.answer(press(view, "crab")).labeled == 1
    with pytest.raises(UsageError):
        session.add_class("crab")


def test_without_a_query_the_view_says_so(open_it):
    _, view = open_it(asked=0)
    assert (view.state, view.image, view.round) == ("empty", None, None)


def test_images_left_to_others_are_waited_for(open_it, make_workspace):
    workspace = make_workspace(asked=1)
    open_it(workspace, annotator="ann")
    _, view = open_it(workspace, annotator="bob")
    assert view.state == "waiting"


def ask_next(workspace, *places: int) -> None:
    """What somebody else's training does: close the query, open that of the next round."""
    with open_store(workspace.store_path) as store:
        number = store.open_query().round
        store.close_query(number)
        items = store.items()
        entries = tuple(
            QueryEntry(item_id=items[place].item_id, rank=rank)
            for rank, place in enumerate(places, start=1)
        )
        store.save_query(
            Query(round=number + 1, strategy="margin", model_sha=None, entries=entries)
        )


def test_a_session_follows_the_round_that_somebody_else_began(open_it, make_workspace):
    workspace = make_workspace()
    session, view = open_it(workspace)
    view = session.answer(press(view, "three"))
    ask_next(workspace, 7, 8, 9)
    late = press(view, "four")
    view = session.answer(late)
    assert sample(view) == "007.png"
    assert (view.round, view.strategy) == (1, "margin")
    assert (view.progress.size, view.progress.left) == (3, 3)
    assert "the images of round 1" in view.note
    assert view.labeled == 2
    view = session.answer(press(view, "five"))
    assert (view.note, view.progress.left) == ("", 2)
    ask_next(workspace, 10)
    view = session.undo()
    assert (view.round, sample(view)) == (2, "010.png")
    assert view.labeled == 3


def test_a_page_that_was_open_while_somebody_else_trained_is_stored_and_followed(
    open_it, make_workspace
):
    workspace = make_workspace(guess=3)
    session, _ = open_it(workspace)
    ids = [image.item_id for image in session.grid()]
    ask_next(workspace, 7, 8)
    uid = session.view().classes[3].uid
    view = session.answer_page(
        [Press(op_id=new_op_id(), kind="label", item_id=i, label=as_label(uid)) for i in ids]
    )
    assert (view.round, sample(view), view.labeled) == (1, "007.png", 4)
    view = session.undo_page()
    assert (view.round, view.labeled) == (1, 0)


def test_finishing_returns_what_is_left_to_the_pool(open_it):
    session, view = open_it()
    session.answer(press(view, "one"))
    assert session.finish_query() == 3
    assert session.open().state == "empty"


def test_the_pace_ignores_long_pauses(open_it, clock):
    session, view = open_it()
    for seconds in (2.0, 4.0, 500.0):
        clock.now += seconds
        view = session.answer(press(view, "one"))
    assert view.answer_s == pytest.approx((0.5 + 4.0 + 30.0) / 3)


def test_agreement_counts_labels_with_a_guess(open_it):
    session, view = open_it(guess=3)
    view = session.answer(press(view, "three"))
    view = session.answer(press(view, "four"))
    view = session.answer(press(view, kind="skip"))
    assert view.agreed == (1, 2)


def test_a_failing_store_raises_and_the_same_press_goes_through_later(open_it, monkeypatch):
    session, view = open_it()
    once = press(view, "three")

    def full(*args, **kwargs):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "submit", full)
        with pytest.raises(StorageError):
            session.answer(once)
    assert sample(session.view()) == "000.png"
    assert session.answer(once).labeled == 1


def test_one_annotator_has_one_terminal(make_workspace, config):
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
def test_an_annotator_is_a_plain_name(name):
    with pytest.raises(UsageError):
        check_annotator(name)


def test_the_curve_skips_damaged_and_missing_points(make_workspace):
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
