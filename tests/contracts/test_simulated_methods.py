"""Every method of the registry runs a trial and starts from the same labels and accuracy."""

import pytest
from small_simulations import CONFIG, small_plan, small_pool, write_pool

from dgaal_cli.methods.registry import METHODS
from dgaal_cli.simulation.plan import Arm
from dgaal_cli.simulation.protocol import run_trial

SMALL_CONFIG = CONFIG | {
    "vaal": {"epochs": 0, "min_steps": 4, "width": 4, "batch": 8, "settle_steps": 4},
    "gaal": {"epochs": 0, "min_steps": 4, "width": 4, "latent": 8, "descent_steps": 4, "atoms": 8},
    "discriminative": {"epochs": 4},
    "acquisition": {"members": 2, "passes": 2},
}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return plan, pool and the record of ``random`` before its first query."""
    path = write_pool(tmp_path_factory.mktemp("pool") / "pool.npz")
    pool = small_pool(path)
    plan = small_plan(path, rounds=1, config=SMALL_CONFIG)
    [random_start, _] = run_trial(plan, Arm(method="random"), seed=0, pool=pool)
    return plan, pool, random_start


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_starts_like_random_and_its_annotations_are_counted(name, start):
    plan, pool, random_start = start
    first_record, last = run_trial(plan, Arm(method=name), seed=0, pool=pool)
    # The same task model on the same first labels.
    assert first_record.accuracy == random_start.accuracy
    assert first_record.labels_by_class == random_start.labels_by_class
    assert len(first_record.queried) + first_record.synthesized == plan.query_size
    assert last.annotations == plan.initial + plan.query_size
    assert last.labels == last.annotations + last.inherited - first_record.cannot_tell
