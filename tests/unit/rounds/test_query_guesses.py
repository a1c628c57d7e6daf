"""Predictions of T for queried images, which are shown with the query of every method."""

import numpy as np
import pytest

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.train import train
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.load_round import load_round
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.oracle import answer_items, true_labels
from dgaal_cli.training.classifier import predict

POOL = "builtin:digits#test"  # 500 images
FAST = (
    *("threads=1", "classifier.steps=20", "classifier.semi_supervised=none"),
    *("vaal.epochs=0", "vaal.min_steps=5", "vaal.settle_steps=5", "vaal.width=4"),
)


@pytest.mark.parametrize(
    ("method", "has_predictions"), [("vaal", True), ("margin", True), ("random", False)]
)
def test_query_entries_have_predictions_of_the_task_model(tmp_path, method, has_predictions):
    workspace = init(
        InitRequest(
            root=tmp_path / "w",
            pool=POOL,
            base=tmp_path,
            classes=[str(digit) for digit in range(10)],
            method=method,
            preset="tiny",
        )
    ).workspace
    config = configuration(workspace, *FAST)
    truth = true_labels(POOL, base=workspace.root)
    with open_store(workspace.store_path) as store:
        answer_items(store, [item.item_id for item in store.items()[:30]], truth)
    train(workspace, config)
    with open_store(workspace.store_path) as store:
        trained = load_round(workspace, config, store)
    result = query(workspace, config, count=6)
    data = trained.bench.data
    probabilities = predict(trained.method.classifier, data.pixels, data.device).probabilities
    uids = [record.uid for record in trained.bench.classes]
    rows = {item: row for row, item in enumerate(data.item_ids)}
    for entry in result.entries:
        expected = probabilities[rows[entry.item_id]]
        assert (entry.nearest is not None) == has_predictions
        assert entry.predicted == (uids[int(expected.argmax())] if has_predictions else None)
        shown = [probability for _, probability in entry.probabilities]
        assert shown == pytest.approx(
            np.sort(expected)[::-1][:5] if has_predictions else [], abs=1e-5
        )
