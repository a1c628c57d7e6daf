"""The learner in a session: guesses, order, record, undo, and when there is none."""

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
def learned(make_workspace):
    """A workspace that asks all images, and predictions whose prior is often wrong."""

    def make(*, number: int = 0, is_current: bool = True):
        names = [f"{i:03d}.png" for i in range(COUNT)]
        workspace = make_workspace(names=names, classes=CLASSES, asked=COUNT, guess=0)
        rng = np.random.default_rng(0)
        labels = np.array([truth_of(i) for i in range(COUNT)])
        centers = 2.5 * rng.normal(size=(len(CLASSES), 6))
        prior = np.full((COUNT, len(CLASSES)), 0.1, np.float32)
        said = np.where(rng.random(COUNT) < 0.5, labels, rng.integers(0, len(CLASSES), COUNT))
        prior[np.arange(COUNT), said] = 0.7
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
def open_it(config, clock):
    opened: list[LabelSession] = []

    def open_(workspace, *, config=config) -> LabelSession:
        store = open_store(workspace.store_path)
        session = LabelSession(
            store, config=config, workspace=workspace, annotator="ann", clock=clock
        )
        opened.append(session)
        session.open()
        return session

    yield open_
    for session in opened:
        session.close()


def say(session: LabelSession, view, uid, **more) -> object:
    press = Press(
        op_id=new_op_id(), kind="label", item_id=view.image.item_id, label=as_label(uid), **more
    )
    return session.answer(press)


def truth(view) -> dict:
    return {f"{i:03d}.png": view.classes[truth_of(i)].uid for i in range(COUNT)}


def used(workspace) -> list[tuple[int, str | None]]:
    with sqlite3.connect(workspace.store_path) as connection:
        rows = connection.execute("SELECT used_learner, predicted FROM shown ORDER BY rowid")
        return list(rows)


def test_guesses_improve_with_the_answers_and_each_label_says_whose_guess_it_was(learned, open_it):
    workspace = learned()
    session = open_it(workspace)
    assert session.view().learner == "none"
    view = session.load_learner()
    assert view.learner == "on"
    assert view.image.is_learned
    right = truth(view)
    hits = []
    for _ in range(120):
        hits.append(view.image.predicted == right[view.image.sample_id])
        view = say(session, view, right[view.image.sample_id])
    rest = session.grid()
    assert np.mean([s.predicted == right[s.sample_id] for s in rest]) > 0.9
    assert np.mean(hits[-40:]) > np.mean(hits[:40])
    assert all(flag == 1 for flag, _ in used(workspace))
    view = session.toggle_learner()
    assert view.learner == "off"
    assert not view.image.is_learned
    say(session, view, right[view.image.sample_id])
    assert used(workspace)[-1][0] == 0


def test_the_image_foreseen_is_the_image_asked_and_doubt_comes_first(learned, open_it):
    session = open_it(learned())
    view = session.load_learner()
    right = truth(view)
    for _ in range(30):
        foreseen = view.upcoming[0].item_id
        view = say(session, view, right[view.image.sample_id])
        assert view.image.item_id == foreseen
    left = {s.item_id: s for s in session._round.queue.rest()}
    sure = sorted(s.confidence for s in left.values())
    assert view.upcoming[-1].confidence < sure[len(sure) // 2]


def test_skipped_images_come_last_and_undo_brings_image_and_knowledge_back(learned, open_it):
    session = open_it(learned())
    view = session.load_learner()
    right = truth(view)
    first = view.image.item_id
    view = session.answer(Press(op_id=new_op_id(), kind="skip", item_id=first))
    for _ in range(20):
        view = say(session, view, right[view.image.sample_id])
    assert session._round.queue._order[-1] == first
    weights = session._round.learner.guesses._learner._weights.copy()
    shown = view.image.item_id
    say(session, view, right[view.image.sample_id])
    view = session.undo()
    assert view.image.item_id == shown
    np.testing.assert_allclose(session._round.learner.guesses._learner._weights, weights, atol=1e-8)
    view = session.redo()
    assert session._round.learner.guesses._learner.count == 21


def test_undo_across_pages_leaves_what_was_known_before(learned, open_it):
    session = open_it(learned())
    view = session.load_learner()
    right = truth(view)
    for _ in range(40):
        view = say(session, view, right[view.image.sample_id])
    count = session._round.learner.guesses._learner.count
    page = session.grid()[:12]
    presses = [
        Press(
            op_id=new_op_id(),
            kind="label",
            item_id=s.item_id,
            label=as_label(right[s.sample_id]),
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


def test_review_differs_from_what_the_task_model_says_today(learned, open_it):
    session = open_it(learned())
    view = session.view()
    right = truth(view)
    for _ in range(12):
        view = say(session, view, right[view.image.sample_id])
    assert {given.newest_prediction for given in session.review()} == {
        view.classes[0].uid
    }  # the query's
    session.load_learner()
    prior = session._round.learner.guesses._predictions.probabilities.argmax(axis=1)
    said = {given.sample_id: given for given in session.review()}
    for name, given in said.items():
        column = prior[int(name[:3])]
        assert given.newest_prediction == view.classes[column].uid
        assert given.disagrees == (column != truth_of(int(name[:3])))
    assert any(given.disagrees for given in said.values())


@pytest.mark.parametrize("case", ["other round", "other sampler", "no sampler", "damaged"])
def test_without_an_artifact_of_this_round_the_querys_guesses_stay(learned, open_it, case):
    workspace = learned(
        number=3 if case == "other round" else 0, is_current=case != "other sampler"
    )
    sampler = workspace.artifacts_path / "sampler.onnx"
    if case == "no sampler":
        sampler.unlink()
    elif case == "damaged":
        sampler.write_bytes(sampler.read_bytes()[:-1] + b"x")
    session = open_it(workspace)
    view = session.load_learner()
    assert view.learner == "none"
    assert view.image.predicted == view.classes[0].uid
    assert "no learner yet" in session.toggle_learner().note


def test_a_class_added_on_the_way_is_learned_too(learned, open_it):
    session = open_it(learned())
    session.load_learner()
    view = session.add_class("five")
    uid = next(c.uid for c in view.classes if c.name == "five")
    for _ in range(3):
        view = say(session, view, uid)
    assert uid in dict(view.image.probabilities)


def test_more_images_can_be_asked_while_the_next_round_trains(learned, open_it, make_workspace):
    workspace = learned()
    with open_store(workspace.store_path) as store:
        store.close_query(0)
        query = store.last_query()
        few = dataclasses.replace(query, round=1, entries=query.entries[:30])
        store.save_query(few)
    prediction_path = workspace.cache_path / FILE_NAME
    session = open_it(workspace)
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
    right = truth(view)
    asked: set[str] = set()
    while view.image is not None:
        asked.add(view.image.sample_id)
        view = say(session, view, right[view.image.sample_id])
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
    view = say(session, view, right[view.image.sample_id])
    assert view.progress.labeled == 31


def test_an_operator_who_knows_everything_needs_half_a_key_a_label(learned, open_it):
    """The full measurement is ``benchmarks/bench_keystrokes.py``."""
    session = open_it(learned())
    view = session.load_learner()
    effort = label_everything(session, truth(view), uses_grid=True, singly_first=40)
    assert effort.labels == effort.right == COUNT
    assert effort.keys_per_correct_label <= 0.5
    assert effort.guess_accuracy > 0.85
