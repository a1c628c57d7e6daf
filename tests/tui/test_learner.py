"""The learner in a session: guesses, order, records, undo, and sessions without a learner."""

import dataclasses
import hashlib
import sqlite3

import fake_sampler
import numpy as np
import pytest
from simulated_operator import label_everything

from dgaal_cli.labeling.annotators import new_op_id
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import Press
from dgaal_cli.scoring.prediction_file import FILE_NAME, PoolPredictions
from dgaal_cli.store.open import open_store
from exporters import seal
from exporters.embedded import embed
from tests.support.class_labels import as_label

COUNT = 240
CLASSES = ["zero", "one", "two", "three"]


def truth_of(number: int) -> int:
    return number % len(CLASSES)


@pytest.fixture
def make_learner_workspace(make_workspace):
    """Return a function that makes a workspace with predictions whose prior is often wrong."""

    def make(*, number: int = 0, is_current: bool = True):
        names = [f"{i:03d}.png" for i in range(COUNT)]
        workspace = make_workspace(names=names, classes=CLASSES, asked=COUNT, guess=0)
        rng = np.random.default_rng(0)
        labels = np.array([truth_of(i) for i in range(COUNT)])
        centers = 2.5 * rng.normal(size=(len(CLASSES), 6))
        prior = np.full((COUNT, len(CLASSES)), 0.1, np.float32)
        predicted_labels = np.where(
            rng.random(COUNT) < 0.5, labels, rng.integers(0, len(CLASSES), COUNT)
        )
        prior[np.arange(COUNT), predicted_labels] = 0.7
        with open_store(workspace.store_path) as store:
            uids = tuple(record.uid for record in store.classes())
            items = np.array([item.item_id for item in store.items()])
        manifest = dataclasses.replace(
            fake_sampler.manifest(classes=tuple(CLASSES)), class_uids=uids, round=number
        )
        data = seal.seal(embed(b"\x08\x08", manifest, "onnx"), "onnx")
        workspace.artifacts_path.mkdir()
        (workspace.artifacts_path / "sampler.onnx").write_bytes(data)
        PoolPredictions(
            items=items,
            scores=rng.random(COUNT).astype(np.float32),
            probabilities=prior,
            features=(centers[labels] + rng.normal(size=(COUNT, 6))).astype(np.float32),
            class_uids=uids,
            sampler_sha=hashlib.sha256(data if is_current else b"other").hexdigest(),
            round=number,
        ).save(workspace.cache_path / FILE_NAME)
        return workspace

    return make


@pytest.fixture
def start_session(config, clock):
    opened: list[LabelSession] = []

    def start(workspace, *, config=config) -> LabelSession:
        store = open_store(workspace.store_path)
        session = LabelSession(
            store, config=config, workspace=workspace, annotator="ann", clock=clock
        )
        opened.append(session)
        session.open()
        return session

    yield start
    for session in opened:
        session.close()


def answer_image(session: LabelSession, view, uid, **more) -> object:
    press = Press(
        op_id=new_op_id(), kind="label", item_id=view.image.item_id, label=as_label(uid), **more
    )
    return session.answer(press)


def truth(view) -> dict:
    return {f"{i:03d}.png": view.classes[truth_of(i)].uid for i in range(COUNT)}


def learner_use(workspace) -> list[tuple[int, str | None]]:
    with sqlite3.connect(workspace.store_path) as connection:
        rows = connection.execute("SELECT used_learner, predicted FROM shown ORDER BY rowid")
        return list(rows)


def test_guesses_improve_and_labels_record_the_use_of_the_learner(
    make_learner_workspace, start_session
):
    workspace = make_learner_workspace()
    session = start_session(workspace)
    assert session.view().learner == "none"
    view = session.load_learner()
    assert view.learner == "on"
    assert view.image.is_learned
    expected = truth(view)
    hits = []
    for _ in range(120):
        hits.append(view.image.predicted == expected[view.image.sample_id])
        view = answer_image(session, view, expected[view.image.sample_id])
    remaining = session.grid()
    assert np.mean([s.predicted == expected[s.sample_id] for s in remaining]) > 0.9
    assert np.mean(hits[-40:]) > np.mean(hits[:40])
    assert all(flag == 1 for flag, _ in learner_use(workspace))
    view = session.toggle_learner()
    assert view.learner == "off"
    assert not view.image.is_learned
    answer_image(session, view, expected[view.image.sample_id])
    assert learner_use(workspace)[-1][0] == 0


def test_upcoming_image_is_asked_next_and_uncertain_images_first(
    make_learner_workspace, start_session
):
    session = start_session(make_learner_workspace())
    view = session.load_learner()
    expected = truth(view)
    for _ in range(30):
        foreseen = view.upcoming[0].item_id
        view = answer_image(session, view, expected[view.image.sample_id])
        assert view.image.item_id == foreseen
    left = {s.item_id: s for s in session._round.queue.rest()}
    confidences = sorted(s.confidence for s in left.values())
    assert view.upcoming[-1].confidence < confidences[len(confidences) // 2]


def test_skipped_images_are_last_and_undo_restores_image_and_weights(
    make_learner_workspace, start_session
):
    session = start_session(make_learner_workspace())
    view = session.load_learner()
    expected = truth(view)
    first = view.image.item_id
    view = session.answer(Press(op_id=new_op_id(), kind="skip", item_id=first))
    for _ in range(20):
        view = answer_image(session, view, expected[view.image.sample_id])
    assert session._round.queue._order[-1] == first
    weights = session._round.learner.guesses._learner._weights.copy()
    shown = view.image.item_id
    answer_image(session, view, expected[view.image.sample_id])
    view = session.undo()
    assert view.image.item_id == shown
    np.testing.assert_allclose(session._round.learner.guesses._learner._weights, weights, atol=1e-8)
    view = session.redo()
    assert session._round.learner.guesses._learner.count == 21


def test_skipping_everything_asks_the_images_in_the_order_of_skipping(
    make_learner_workspace, start_session
):
    session = start_session(make_learner_workspace())
    view = session.load_learner()
    expected = truth(view)
    page = [
        Press(
            op_id=new_op_id(),
            kind="label",
            item_id=s.item_id,
            label=as_label(expected[s.sample_id]),
        )
        for s in session._round.queue.rest()[:-6]
    ]
    view = session.answer_page(page)
    shown = []
    for _ in range(18):
        shown.append(view.image.item_id)
        view = session.answer(Press(op_id=new_op_id(), kind="skip", item_id=shown[-1]))
        if len(shown) == 9:  # the order is read from the store too
            view = session.load_learner()
    assert len(set(shown[:6])) == 6
    assert shown[6:12] == shown[12:] == shown[:6]


def test_undo_of_a_page_restores_the_learner(make_learner_workspace, start_session):
    session = start_session(make_learner_workspace())
    view = session.load_learner()
    expected = truth(view)
    for _ in range(40):
        view = answer_image(session, view, expected[view.image.sample_id])
    count = session._round.learner.guesses._learner.count
    page = session.grid()[:12]
    presses = [
        Press(
            op_id=new_op_id(),
            kind="label",
            item_id=s.item_id,
            label=as_label(expected[s.sample_id]),
            ui="prefilled",
        )
        for s in page
    ]
    view = session.answer_page(presses)
    assert session._round.learner.guesses._learner.count == count + 12
    assert view.progress.labeled == 52
    view = session.undo_page()
    assert session._round.learner.guesses._learner.count == count
    assert view.progress.labeled == 40
    assert "12 answers" in view.note


def test_review_compares_answers_with_current_predictions(make_learner_workspace, start_session):
    session = start_session(make_learner_workspace())
    view = session.view()
    expected = truth(view)
    for _ in range(12):
        view = answer_image(session, view, expected[view.image.sample_id])
    guess_of_query = view.classes[0].uid
    assert {given.newest_prediction for given in session.review()} == {guess_of_query}
    session.load_learner()
    prior = session._round.learner.guesses._predictions.probabilities.argmax(axis=1)
    answers = {given.sample_id: given for given in session.review()}
    for name, given in answers.items():
        column = prior[int(name[:3])]
        assert given.newest_prediction == view.classes[column].uid
        assert given.disagrees == (column != truth_of(int(name[:3])))
    assert any(given.disagrees for given in answers.values())


@pytest.mark.parametrize("case", ["other round", "other sampler", "no sampler", "damaged"])
def test_without_artifact_of_this_round_guesses_of_the_query_are_kept(
    make_learner_workspace, start_session, case
):
    workspace = make_learner_workspace(
        number=3 if case == "other round" else 0, is_current=case != "other sampler"
    )
    sampler = workspace.artifacts_path / "sampler.onnx"
    if case == "no sampler":
        sampler.unlink()
    elif case == "damaged":
        sampler.write_bytes(sampler.read_bytes()[:-1] + b"x")
    session = start_session(workspace)
    view = session.load_learner()
    assert view.learner == "none"
    assert view.image.predicted == view.classes[0].uid
    assert "no learner yet" in session.toggle_learner().note


def test_learner_includes_a_class_added_in_the_session(make_learner_workspace, start_session):
    session = start_session(make_learner_workspace())
    session.load_learner()
    view = session.add_class("five")
    uid = next(c.uid for c in view.classes if c.name == "five")
    for _ in range(3):
        view = answer_image(session, view, uid)
    assert uid in dict(view.image.probabilities)


def test_query_can_be_extended_while_the_next_round_trains(
    make_learner_workspace, start_session, make_workspace
):
    workspace = make_learner_workspace()
    with open_store(workspace.store_path) as store:
        store.close_query(0)
        query = store.last_query()
        small_query = dataclasses.replace(query, round=1, entries=query.entries[:30])
        store.save_query(small_query)
    prediction_path = workspace.cache_path / FILE_NAME
    session = start_session(workspace)
    from dgaal_cli.scoring.prediction_file import load_pool_predictions

    predictions = load_pool_predictions(prediction_path)
    manifest = fake_sampler.manifest(classes=tuple(CLASSES))
    manifest = dataclasses.replace(manifest, class_uids=predictions.class_uids, round=1)
    data = seal.seal(embed(b"\x08\x08", manifest, "onnx"), "onnx")
    (workspace.artifacts_path / "sampler.onnx").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    dataclasses.replace(predictions, round=1, sampler_sha=digest).save(prediction_path)
    view = session.load_learner()
    assert view.learner == "on"
    expected = truth(view)
    asked: set[str] = set()
    while view.image is not None:
        asked.add(view.image.sample_id)
        view = answer_image(session, view, expected[view.image.sample_id])
        view = session.rank_ahead()
        is_last_part = 5 * view.progress.left <= 30
        assert view.ranked_ahead == (24 if is_last_part else 0)
    assert view.state == "answered"
    ranked = [entry.item_id for entry in session._round.ranked]
    view = session.keep_labeling()
    assert view.ranked_ahead == 0
    with open_store(workspace.store_path, read_only=True) as store:
        added = [entry.item_id for entry in store.open_query().entries][30:]
        assert added == ranked
        assert not asked & {store.item(item).sample_id for item in added}
    assert view.state == "labeling"
    assert (view.extended, view.progress.left) == (24, 24)
    assert "trains" in view.image.reason
    view = answer_image(session, view, expected[view.image.sample_id])
    assert view.progress.labeled == 31


def test_perfect_operator_needs_at_most_half_a_key_per_label(make_learner_workspace, start_session):
    """The full measurement is ``benchmarks/bench_keystrokes.py``."""
    session = start_session(make_learner_workspace())
    view = session.load_learner()
    effort = label_everything(session, truth(view), uses_grid=True, singly_first=40)
    assert effort.labels == effort.right == COUNT
    assert effort.keys_per_correct_label <= 0.5
    assert effort.guess_accuracy > 0.85


def true_neighbors(session: LabelSession, item_id: int) -> list[int]:
    """Compute the nearest labeled images from the stored predictions alone."""
    predictions = session._round.learner.guesses._predictions
    labeled = {record.item_id for record in session._store.labels()} - {item_id}
    features = dict(zip(predictions.items.tolist(), predictions.features, strict=True))
    return sorted(labeled, key=lambda i: np.linalg.norm(features[i] - features[item_id]))[:3]


def test_nearest_labeled_images_follow_answers_and_undo(make_learner_workspace, start_session):
    session = start_session(make_learner_workspace())
    view = session.view()
    assert session.nearest_labeled(view.image.item_id) == ()  # no learner yet
    view = session.load_learner()
    expected = truth(view)
    assert session.nearest_labeled(view.image.item_id) == ()  # nothing is labeled
    for _ in range(30):
        view = answer_image(session, view, expected[view.image.sample_id])
        found = session.nearest_labeled(view.image.item_id)
        assert [n.item_id for n in found] == true_neighbors(session, view.image.item_id)
        assert all(n.uid == expected[n.sample_id] for n in found)
    view = session.undo()
    found = session.nearest_labeled(view.image.item_id)
    assert view.image.item_id not in {n.item_id for n in found}
    session._round.queue.audited = frozenset({view.image.item_id})
    assert session.nearest_labeled(view.image.item_id) == ()


TITLE = "labeled images most alike"


async def answer_some(terminal, count: int) -> None:
    for _ in range(count):
        number = int(terminal.image.sample_id[:3])
        await terminal.press(str(truth_of(number) + 1))


LARGEST = pytest.param((200, 60), marks=pytest.mark.slow)


@pytest.mark.parametrize("size", [(120, 40), LARGEST])
async def test_nearest_labeled_images_are_beside_the_picture_only_with_guesses(
    make_learner_workspace, terminal, size
):
    workspace = make_learner_workspace()
    async with terminal(workspace=workspace, size=size) as t:
        await t.until(lambda: t.view.learner == "on", "for the learner")
        await answer_some(t, 6)
        await t.until(lambda: len(t.screen.neighbors.beside) == 3, "for the neighbors")
        assert TITLE not in t.text()
        await t.press("p")
        while t.image.is_blind:
            await answer_some(t, 1)
        await t.until(lambda: None not in t.screen.neighbors.beside)
        await t.until(lambda: TITLE in t.text(), "for the box")
        shown = t.screen.shown
        rows = t.text().split(TITLE)[1].splitlines()
        names = [t.view.class_name(n.uid) for n in t.screen.neighbors.beside]
        assert any(row.replace("│", "").split() == names for row in rows)
        last, view = t.screen.neighbors.beside[-1].item_id, shown.scene_view
        await t.until(lambda: view._neighbor_thumb(last, view._neighbor_rows), "for the pictures")


SMALLEST = pytest.param((60, 18), marks=pytest.mark.slow)


@pytest.mark.parametrize("size", [SMALLEST, (80, 24), (120, 40), LARGEST])
async def test_details_name_the_nearest_labeled_images(make_learner_workspace, terminal, size):
    workspace = make_learner_workspace()
    async with terminal(workspace=workspace, size=size) as t:
        await t.until(lambda: t.view.learner == "on", "for the learner")
        await answer_some(t, 6)
        await t.press("i")
        await t.until(lambda: t.app.screen is not t.screen, "for the details")
        near = [n.sample_id for n in t.screen.neighbors.beside]
        text = " ".join(t.dialog().split())
        assert f"nearest {', '.join(near)}: the labeled images" in text  # classes are hints
        await t.pilot.press("escape")
        await t.until(lambda: t.app.screen is t.screen)
        await t.press("p")
        while t.image.is_blind:
            await answer_some(t, 1)
        await t.press("i")
        await t.until(lambda: t.app.screen is not t.screen, "for the details")
        named = [f"{n.sample_id} {t.view.class_name(n.uid)}" for n in t.screen.neighbors.beside]
        assert f"nearest {', '.join(named)}: the labeled" in " ".join(t.dialog().split())
