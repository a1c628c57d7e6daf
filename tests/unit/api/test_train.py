"""Rounds beside labeling: an open query stays open, an interrupted round keeps its labels."""

import signal
from collections import Counter

import numpy as np
import pytest
import torch

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.train import train
from dgaal_cli.errors import InterruptedRunError, UsageError
from dgaal_cli.events import StepDone
from dgaal_cli.labeling.rounds_report import rounds_report
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.rounds.state import round_state
from dgaal_cli.rounds.unlabelable_synthetics import UnlabelableCount, count_unlabelable
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer
from dgaal_cli.tasks.oracle import answer_items, true_labels
from dgaal_cli.training import checkpoint
from tests.support.class_labels import as_label

POOL = "builtin:digits#test"  # 500 images
FAST = ("pretrain.min_steps=8", "pretrain.epochs=0", "classifier.steps=20", "coevolve.steps=20")


@pytest.fixture
def workspace(tmp_path):
    made = init(
        InitRequest(
            root=tmp_path / "w",
            pool=POOL,
            base=tmp_path,
            classes=[str(digit) for digit in range(10)],
            preset="tiny",
        )
    ).workspace
    label(made, 30)
    return made


def label(workspace, count):
    """Answer the first images that have no label yet, in the open query if there is one."""
    truth = true_labels(POOL, base=workspace.root)
    with open_store(workspace.store_path) as store:
        done = {record.item_id for record in store.labels()}
        opened = store.open_query()
        items = (
            [e.item_id for e in opened.entries] if opened else [i.item_id for i in store.items()]
        )
        answer_items(store, [item for item in items if item not in done][:count], truth)


def settings(workspace, *more):
    return configuration(workspace, *FAST, "threads=1", *more)


def state(workspace):
    with open_store(workspace.store_path) as store:
        return round_state(workspace, store)


def interrupted_at(steps):
    seen = {"steps": 0}

    def listen(event):
        if isinstance(event, StepDone):
            seen["steps"] += 1
            if seen["steps"] == steps:
                signal.raise_signal(signal.SIGINT)

    return listen


def weights(workspace, number):
    return checkpoint.load(workspace.round_path(number) / "checkpoint")[0]


def test_an_interrupted_training_leaves_the_query_open_and_a_finished_one_closes_it(workspace):
    train(workspace, settings(workspace))
    query(workspace, settings(workspace), count=10)
    label(workspace, 4)
    with pytest.raises(InterruptedRunError):
        train(workspace, settings(workspace), emit=interrupted_at(3))
    assert (state(workspace).step, state(workspace).open_query.left) == ("label", 6)
    label(workspace, 2)  # people go on while it rests
    result = train(workspace, settings(workspace))
    assert (result.round, result.labels) == (1, 34)  # the labels it began with
    assert (state(workspace).number, state(workspace).step) == (1, "query")
    with open_store(workspace.store_path) as store:
        assert store.open_query() is None
        assert store.counts().labeled == 36


def test_going_on_gives_the_same_weights_as_no_interruption(workspace):
    with pytest.raises(InterruptedRunError):
        train(workspace, settings(workspace), emit=interrupted_at(20))
    train(workspace, settings(workspace))
    cut = weights(workspace, 0)
    train(workspace, settings(workspace), is_fresh=True)
    whole = weights(workspace, 0)
    assert cut.keys() == whole.keys()
    assert [name for name in cut if not torch.equal(cut[name], whole[name])] == []


def test_nothing_new_to_learn_is_said(workspace):
    train(workspace, settings(workspace))
    with pytest.raises(UsageError, match="round 0 is trained on all 30 current labels"):
        train(workspace, settings(workspace))
    label(workspace, 5)
    assert train(workspace, settings(workspace)).labels == 35


def test_copies_of_the_last_query_inherit_labels_once(workspace):
    train(workspace, settings(workspace))
    query(workspace, settings(workspace), count=10)
    label(workspace, 10)
    loose = settings(workspace, "generation.min_confidence=0")
    first = train(workspace, loose)
    with open_store(workspace.store_path) as store:
        found = gather(workspace, loose, store, number=1, device=torch.device("cpu"))
        asked = {record.item_id for record in found.labels if record.round == 0}
        measured = {found.data.item_ids[row] for row in np.flatnonzero(found.dataset.is_to_measure)}
        copies = [item for item in store.items() if item.is_synthetic]
        labels = {record.item_id: record.label for record in store.labels()}
    assert len(copies) == len(asked - measured) == first.synthesized
    assert {item.parent for item in copies} <= asked - measured
    assert all(item.inherited == labels[item.parent] for item in copies)
    train(workspace, loose, is_fresh=True)
    with open_store(workspace.store_path) as store:
        assert sum(item.is_synthetic for item in store.items()) == len(copies)


def test_doubtful_copies_are_set_aside(workspace):
    train(workspace, settings(workspace))
    query(workspace, settings(workspace), count=10)
    label(workspace, 10)
    strict = settings(workspace, "generation.min_confidence=0.999999", "classifier.steps=3")
    assert train(workspace, strict).synthesized == 0
    with open_store(workspace.store_path) as store:
        copies = [item for item in store.items() if item.is_synthetic]
        assert {item.state for item in copies} == {"quarantined"}


def test_images_synthesized_at_the_boundary_are_asked_of_a_person(workspace):
    train(workspace, settings(workspace))
    result = query(workspace, settings(workspace), count=4, synthetic=3)
    assert [item.is_synthetic for item in result.items] == [False] * 4 + [True] * 3
    assert all(item.inherited is None for item in result.items)
    assert all(entry.reason for entry in result.entries)


def test_junk_is_told_by_the_class_it_was_taken_for_and_pauses_synthesis_for_one_query(workspace):
    config = settings(workspace)
    train(workspace, config)
    entries = query(workspace, config, count=1, synthetic=6).entries
    drawn = entries[1:]
    assert all(len(entry.probabilities) == 5 for entry in drawn)
    assert all(entry.predicted == entry.probabilities[0][0] for entry in drawn)
    with open_store(workspace.store_path) as store:
        names = {record.uid: record.name for record in store.classes()}
        for entry in entries:
            is_junk = entry in drawn[:4]
            given = Answer(
                op_id=f"answer{entry.rank}",
                kind="cannot_tell" if is_junk else "label",
                item_id=entry.item_id,
                label=as_label(None if is_junk else next(iter(names))),
            )
            store.submit(given, annotator="ann", session="s")
        report = rounds_report(workspace, config, store)
        assert count_unlabelable(store) == UnlabelableCount(judged=6, unlabelable=4)
    taken = Counter(names[entry.predicted] for entry in drawn if entry.predicted)
    assert {row.name: row.judged for row in report.junk} == dict(taken)
    assert sum(row.junk for row in report.junk) == 4
    assert report.is_paused
    train(workspace, config)
    with pytest.raises(UsageError, match=r"4 of the last 6 .* pauses for one query"):
        query(workspace, config, count=1, synthetic=2)
    assert len(query(workspace, config, count=1).entries) == 1
    with open_store(workspace.store_path) as store:
        assert not count_unlabelable(store).is_over(0.5)


def test_the_budget_is_kept(workspace):
    train(workspace, settings(workspace))
    with pytest.raises(UsageError, match="budget leaves 5"):
        query(workspace, settings(workspace, "query.budget=35"), count=6)
    with pytest.raises(UsageError, match="budget of 30 labels is spent"):
        query(workspace, settings(workspace, "query.budget=30"))
    assert len(query(workspace, settings(workspace, "query.budget=35")).entries) == 5


def test_two_people_are_asked_about_each_image_and_the_budget_counts_both(workspace):
    train(workspace, settings(workspace))
    shared = settings(workspace, "query.budget=37", "query.overlap=2")
    asked = [entry.item_id for entry in query(workspace, shared).entries]
    assert len(asked) == 3  # seven answers are left, two for each image
    label(workspace, 3)
    with open_store(workspace.store_path) as store:
        assert store.query_progress(0).left == 3
        assert store.next_task("bob", "s").item.item_id == asked[0]
    assert state(workspace).step == "label"


@pytest.mark.parametrize("also_of_copies", [False, True])
def test_a_chosen_copy_is_replaced_once_in_the_published_candidate_pool(workspace, also_of_copies):
    """By its parent's next copy, or by its own; a restart of the round adds none."""
    chosen = f"generation.copies_of_copies={str(also_of_copies).lower()}"
    config = settings(workspace, "method=dgaal-paper", "evaluation.held_out=0", chosen)
    train(workspace, config)
    query(workspace, config, count=6)
    label(workspace, 6)
    assert train(workspace, config).synthesized == 6  # however much T doubts them
    with open_store(workspace.store_path) as store:
        copies = [item for item in store.items() if item.is_synthetic]
        store.promote_synthetic([copies[0].item_id], 1)
    query(workspace, config, count=4)
    label(workspace, 4)
    with open_store(workspace.store_path) as store:
        taken = [r for r in store.labels() if r.provenance == "inherited"]
        human = [r for r in store.labels() if r.round == 1 and not r.is_synthetic]
        parents = {item.item_id: item.parent for item in copies}
    expected = Counter([r.item_id for r in human] + [parents[r.item_id] for r in taken])
    trained = train(workspace, config)
    assert trained.synthesized == sum(expected.values())
    with open_store(workspace.store_path) as store:
        assert trained.labels == len(store.labels()) - len(taken)
    train(workspace, config, is_fresh=True)
    with open_store(workspace.store_path) as store:
        made = [item for item in store.items() if item.is_synthetic and item.round == 2]
        classes = {record.item_id: record.label for record in store.labels()}
    assert Counter(item.parent for item in made) == expected
    assert all(item.inherited == classes[item.parent] for item in made)
