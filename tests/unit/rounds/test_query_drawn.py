"""Queries of synthetic images: stored as images, labeled, and used in the next training."""

import numpy as np
import pytest
import torch
from PIL import Image

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.train import train
from dgaal_cli.errors import UsageError
from dgaal_cli.events import PhaseStarted, RoundStarted, Warned
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.rounds.synthetic_files import synthetic_path
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.classification.model import present_classes
from dgaal_cli.tasks.oracle import answer_items, true_labels

POOL = "builtin:digits#test"  # 500 images
FAST = (
    *("threads=1", "classifier.steps=20", "gaal.epochs=0", "gaal.min_steps=10"),
    *("gaal.width=4", "gaal.descent_steps=10", "gaal.latent=8"),
)


def workspace_of(method, folder, *, labeled=30):
    workspace = init(
        InitRequest(
            root=folder / "w",
            pool=POOL,
            base=folder,
            classes=[str(digit) for digit in range(10)],
            method=method,
            preset="tiny",
        )
    ).workspace
    truth = true_labels(POOL, base=workspace.root)
    with open_store(workspace.store_path) as store:
        answer_items(store, [item.item_id for item in store.items()[:labeled]], truth)
    return workspace, configuration(workspace, *FAST)


def test_synthetic_query_images_are_asked_and_used_for_training(tmp_path):
    workspace, config = workspace_of("gaal", tmp_path)
    train(workspace, config)
    result = query(workspace, config, count=7)
    assert [item.is_synthetic for item in result.items] == [True] * 7
    assert {item.parent for item in result.items} == {None}
    assert {item.inherited for item in result.items} == {None}
    assert [entry.rank for entry in result.entries] == list(range(1, 8))
    assert {entry.reason for entry in result.entries} == {"drawn at a class boundary"}
    assert all(entry.predicted == entry.probabilities[0][0] for entry in result.entries)
    assert all(0.0 <= entry.percentile <= 100.0 for entry in result.entries)
    assert result.left == 470
    for item in result.items:
        with Image.open(synthetic_path(workspace, item.sample_id)) as picture:
            assert picture.size == (8, 8)

    synthetic = {item.sample_id: str(i) for i, item in enumerate(result.items)}
    with open_store(workspace.store_path) as store:
        assert store.next_task("ann", "one").item.is_synthetic
        answer_items(store, [item.item_id for item in result.items], synthetic)
        data = gather(workspace, config, store, number=1, device=torch.device("cpu")).data
    assert data.synthetic.is_labeled.tolist() == [True] * 7
    assert data.synthetic.targets.tolist() == list(range(7))
    assert data.synthetic.parents.tolist() == [-1] * 7
    assert not data.synthetic.is_candidate.any()
    trained = train(workspace, config)
    assert trained.labels == 30 + 7
    assert np.isfinite(trained.accuracy or 0.0)
    assert query(workspace, config, count=3).round == 1


def test_labels_of_synthetic_images_only_train_other_methods(tmp_path):
    workspace, config = workspace_of("simple-gan", tmp_path, labeled=0)
    train(workspace, config)
    synthetic = query(workspace, config, count=6).items
    with open_store(workspace.store_path) as store:
        answer_items(
            store,
            [item.item_id for item in synthetic],
            {item.sample_id: str(i % 2) for i, item in enumerate(synthetic)},
        )
        data = gather(workspace, config, store, number=1, device=torch.device("cpu")).data
    assert present_classes(data).tolist() == [0, 1]
    events = []
    margin = configuration(workspace, *FAST, "method=margin")
    train(workspace, margin, emit=events.append)
    (started,) = [event for event in events if isinstance(event, RoundStarted)]
    assert (started.labels, started.drawn_labels) == (0, 6)
    assert [event.phase for event in events if isinstance(event, PhaseStarted)] == ["classifier"]
    result = query(workspace, margin, count=3)
    assert [entry.nearest for entry in result.entries] == [None] * 3
    assert all(len(entry.probabilities) == 5 for entry in result.entries)


def test_query_without_labels_warns_and_uses_the_cold_start_rule(tmp_path):
    workspace = init(
        InitRequest(
            root=tmp_path / "w", pool=POOL, base=tmp_path, classes=["a", "b"], preset="tiny"
        )
    ).workspace
    config = configuration(workspace, *FAST, "pretrain.epochs=0", "pretrain.min_steps=2")
    train(workspace, config)
    events = []
    query(workspace, config, count=3, emit=events.append)
    messages = [event.message for event in events if isinstance(event, Warned)]
    assert any(
        "no labels of two classes yet, so dgaal has nothing to learn from; this query: typical"
        in message
        for message in messages
    )


def test_asal_asks_only_pool_images(tmp_path):
    workspace, config = workspace_of("asal", tmp_path)
    train(workspace, config)
    result = query(workspace, config, count=4)
    assert [item.is_synthetic for item in result.items] == [False] * 4


def test_method_that_synthesizes_queries_refuses_the_synthetic_option(tmp_path):
    workspace, config = workspace_of("simple-gan", tmp_path)
    train(workspace, config)
    with pytest.raises(UsageError, match=r"'simple-gan' synthesizes the images.*with -n"):
        query(workspace, config, count=4, synthetic=2)
    assert len(query(workspace, config, count=600).entries) == 600  # more than the pool


def test_random_query_has_no_scores(tmp_path):
    workspace, config = workspace_of("random", tmp_path)
    train(workspace, config)
    result = query(workspace, config, count=4)
    assert {(entry.score, entry.percentile) for entry in result.entries} == {(None, None)}
    table = (workspace.round_path(result.round) / "query.csv").read_text().splitlines()
    assert table[1].split(",")[2:4] == ["", ""]


def test_budget_limits_synthetic_queries(tmp_path):
    workspace, config = workspace_of("simple-gan", tmp_path)
    config = configuration(workspace, *FAST, "query.budget=35")
    train(workspace, config)
    with pytest.raises(UsageError, match="the budget leaves 5"):
        query(workspace, config, count=6)
    assert len(query(workspace, config).entries) == 5
