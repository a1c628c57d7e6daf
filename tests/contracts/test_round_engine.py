"""A workspace on disk and a simulation in memory run the same rounds."""

from dataclasses import replace

import numpy as np
import pytest
from small_simulations import CONFIG, small_plan, small_pool, write_pool

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.train import train
from dgaal_cli.simulation.oracle import answer_items
from dgaal_cli.simulation.plan import Arm, config_of
from dgaal_cli.simulation.pool import absent_at_start, first_rows
from dgaal_cli.simulation.protocol import run_trial
from dgaal_cli.store.open import open_store

ROUNDS = 3
COPIES = {
    "generation": {"share": 0.9, "min_confidence": 0.0},
    "classifier": CONFIG["classifier"] | {"semi_supervised": "none"},
}


def workspace_picks(folder, plan, pool, arm):
    """Sample ids that each query of a workspace asks; an operator answers with the truth."""
    config = config_of(plan, arm, seed=0, image_size=pool.image_size, channels=pool.channels)
    config = replace(config, pool=replace(config.pool, test=plan.test))
    workspace = init(
        InitRequest(
            root=folder,
            pool=plan.pool,
            test=plan.test,
            base=folder.parent,
            classes=pool.class_names,
            method=arm.method,
            preset="tiny",
        )
    ).workspace
    truth = dict(zip(pool.ids, [pool.class_names[k] for k in pool.truth], strict=True))
    with open_store(workspace.store_path) as store:
        by_id = {item.sample_id: item.item_id for item in store.items()}
        first = first_rows(plan, pool.truth, absent_at_start(plan, pool, 0), 0)
        answer_items(store, [by_id[pool.ids[int(row)]] for row in first], truth)
    asked, accuracies = [], []
    for _ in range(plan.rounds):
        accuracies.append(train(workspace, config).accuracy)
        items = query(workspace, config).items
        asked.append([item.sample_id for item in items])
        with open_store(workspace.store_path) as store:
            answer_items(store, [item.item_id for item in items], truth)
    return asked, accuracies


@pytest.mark.parametrize("method", ["margin", "dgaal", "dgaal-paper", "vaal"])
def test_the_same_pool_labels_and_seed_give_the_same_picks_on_disk_and_in_memory(method, tmp_path):
    path = write_pool(tmp_path / "pool.npz")
    changes = {"rounds": ROUNDS, "config": CONFIG | COPIES}
    plan, pool = small_plan(path, method, **changes), small_pool(path, **changes)
    arm = Arm(method=method)
    records = list(run_trial(plan, arm, seed=0, pool=pool))
    asked, accuracies = workspace_picks(tmp_path / "w", plan, pool, arm)
    assert asked == [[pool.ids[row] for row in record.queried] for record in records[:-1]]
    own = [r.system_accuracy or r.accuracy for r in records[:-1]]
    assert np.allclose(accuracies, own)
