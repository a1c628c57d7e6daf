"""Training while people label: open queries, interrupted rounds and synthetic copies."""

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
    """Answer the first images without a label, those of the open query if there is one."""
    truth = true_labels(POOL, base=workspace.root)
    with open_store(workspace.store_path) as store:
        done = {record.item_id for record in store.labels()}
        opened = store.open_query()
        items = (
            [e.item_id for e in opened.entries] if opened else [i.item_id for i in store.items()]
        )
        answer_items(store, [item for item in items if item not in done][:count], truth)


def settings(workspace, *more):
    return configuration(workspace, *FAST, "threads=1", "label.min_r2=0", *more)


def state(workspace):
    with open_store(workspace.store_path) as store:
        return round_state(workspace, store)


def interrupted_at(steps):
    counts = {"steps": 0}

    def listen(event):
        if isinstance(event, StepDone):
            counts["steps"] += 1
            if counts["steps"] == steps:
                signal.raise_signal(signal.SIGINT)

    return listen


def weights(workspace, number):
    return checkpoint.load(workspace.round_path(number) / "checkpoint")[0]


def test_query_stays_open_until_training_finishes(workspace):
    train(workspace, settings(workspace))
    query(workspace, settings(workspace), count=10)
    label(workspace, 4)
    with pytest.raises(InterruptedRunError):
        train(workspace, settings(workspace), emit=interrupted_at(3))
    assert (state(workspace).step, state(workspace).open_query.left) == ("label", 6)
    label(workspace, 2)  # labeling continues while training is interrupted
    result = train(workspace, settings(workspace))
    assert (result.round, result.labels) == (1, 34)  # the labels at the start of the round
    assert (state(workspace).number, state(workspace).step) == (1, "query")
    with open_store(workspace.store_path) as store:
        assert store.open_query() is None
        assert store.counts().labeled == 36


def test_resumed_training_gives_the_same_weights(workspace):
    with pytest.raises(InterruptedRunError):
        train(workspace, settings(workspace), emit=interrupted_at(20))
    train(workspace, settings(workspace))
    resumed = weights(workspace, 0)
    train(workspace, settings(workspace), is_fresh=True)
    uninterrupted = weights(workspace, 0)
    assert resumed.keys() == uninterrupted.keys()
    assert [name for name in resumed if not torch.equal(resumed[name], uninterrupted[name])] == []


def test_training_without_new_labels_is_refused(workspace):
    train(workspace, settings(workspace))
    with pytest.raises(UsageError, match="round 0 is trained on all 30 current labels"):
        train(workspace, settings(workspace))
    label(workspace, 5)
    assert train(workspace, settings(workspace)).labels == 35


def test_copies_of_queried_images_inherit_their_labels_once(workspace):
    train(workspace, settings(workspace))
    query(workspace, settings(workspace), count=10)
    label(workspace, 10)
    loose = settings(workspace, "generation.min_confidence=0")
    first = train(workspace, loose)
    with open_store(workspace.store_path) as store:
        gathered = gather(workspace, loose, store, number=1, device=torch.device("cpu"))
        asked = {record.item_id for record in gathered.labels if record.round == 0}
        measured = {
            gathered.data.item_ids[row] for row in np.flatnonzero(gathered.dataset.is_to_measure)
        }
        copies = [item for item in store.items() if item.is_synthetic]
        labels = {record.item_id: record.label for record in store.labels()}
    assert len(copies) == len(asked - measured) == first.synthesized
    assert {item.parent for item in copies} <= asked - measured
    assert all(item.inherited == labels[item.parent] for item in copies)
    train(workspace, loose, is_fresh=True)
    with open_store(workspace.store_path) as store:
        assert sum(item.is_synthetic for item in store.items()) == len(copies)


def test_copies_below_min_confidence_are_quarantined(workspace):
    train(workspace, settings(workspace))
    query(workspace, settings(workspace), count=10)
    label(workspace, 10)
    strict = settings(workspace, "generation.min_confidence=0.999999", "classifier.steps=3")
    assert train(workspace, strict).synthesized == 0
    with open_store(workspace.store_path) as store:
        copies = [item for item in store.items() if item.is_synthetic]
        assert {item.state for item in copies} == {"quarantined"}


def test_synthetic_query_images_have_no_inherited_label(workspace):
    train(workspace, settings(workspace))
    result = query(workspace, settings(workspace), count=4, synthetic=3)
    assert [item.is_synthetic for item in result.items] == [False] * 4 + [True] * 3
    assert all(item.inherited is None for item in result.items)
    assert all(entry.reason for entry in result.entries)


def test_unlabelable_images_are_counted_by_class_and_pause_synthesis(workspace):
    config = settings(workspace)
    train(workspace, config)
    entries = query(workspace, config, count=1, synthetic=6).entries
    synthetic = entries[1:]
    assert all(len(entry.probabilities) == 5 for entry in synthetic)
    assert all(entry.predicted == entry.probabilities[0][0] for entry in synthetic)
    with open_store(workspace.store_path) as store:
        names = {record.uid: record.name for record in store.classes()}
        for entry in entries:
            is_junk = entry in synthetic[:4]
            answer = Answer(
                op_id=f"answer{entry.rank}",
                kind="cannot_tell" if is_junk else "label",
                item_id=entry.item_id,
                label=as_label(None if is_junk else next(iter(names))),
            )
            store.submit(answer, annotator="ann", session="s")
        report = rounds_report(workspace, config, store)
        assert count_unlabelable(store) == UnlabelableCount(judged=6, unlabelable=4)
    taken = Counter(names[entry.predicted] for entry in synthetic if entry.predicted)
    assert {row.name: row.judged for row in report.junk} == dict(taken)
    assert sum(row.junk for row in report.junk) == 4
    assert report.is_paused
    train(workspace, config)
    with pytest.raises(UsageError, match=r"4 of the last 6 .* pauses for one query"):
        query(workspace, config, count=1, synthetic=2)
    assert len(query(workspace, config, count=1).entries) == 1
    with open_store(workspace.store_path) as store:
        assert not count_unlabelable(store).is_over(0.5)


def test_query_is_limited_by_the_budget(workspace):
    train(workspace, settings(workspace))
    with pytest.raises(UsageError, match="budget leaves 5"):
        query(workspace, settings(workspace, "query.budget=35"), count=6)
    with pytest.raises(UsageError, match="budget of 30 labels is spent"):
        query(workspace, settings(workspace, "query.budget=30"))
    assert len(query(workspace, settings(workspace, "query.budget=35")).entries) == 5


def test_budget_counts_both_answers_with_overlap_two(workspace):
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
def test_promoted_copy_is_replaced_once_in_the_candidate_pool(workspace, also_of_copies):
    """The replacement is a copy of its parent or of itself; restarting the round adds none."""
    option = f"generation.copies_of_copies={str(also_of_copies).lower()}"
    config = settings(workspace, "method=dgaal-paper", "evaluation.held_out=0", option)
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
