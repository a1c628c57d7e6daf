"""Every method of the registry goes through a trial, and starts where all others start."""

import pytest
from small_simulations import CONFIG, small_plan, small_pool, write_pool

from dgaal_cli.methods.registry import METHODS
from dgaal_cli.simulation.plan import Arm
from dgaal_cli.simulation.protocol import run_trial

QUICK = CONFIG | {
    "vaal": {"epochs": 0, "min_steps": 4, "width": 4, "batch": 8, "settle_steps": 4},
    "gaal": {"epochs": 0, "min_steps": 4, "width": 4, "latent": 8, "descent_steps": 4, "atoms": 8},
    "discriminative": {"epochs": 4},
    "acquisition": {"members": 2, "passes": 2},
}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A pool, and what random measures on it before the first query."""
    path = write_pool(tmp_path_factory.mktemp("pool") / "pool.npz")
    pool = small_pool(path)
    plan = small_plan(path, rounds=1, config=QUICK)
    [first, _] = run_trial(plan, Arm(method="random"), seed=0, pool=pool)
    return plan, pool, first


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_measured_from_the_common_start_and_pays_for_what_it_asks(name, start):
    plan, pool, first = start
    own, last = run_trial(plan, Arm(method=name), seed=0, pool=pool)
    assert own.accuracy == first.accuracy  # everybody's T on everybody's first labels
    assert own.labels_by_class == first.labels_by_class
    assert len(own.queried) + own.synthesized == plan.query_size
    assert last.annotations == plan.initial + plan.query_size
    assert last.labels == last.annotations + last.inherited - own.cannot_tell
