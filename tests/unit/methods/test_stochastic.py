"""Stochastic acquisition draws images with the probabilities of its rule."""

import numpy as np
import pytest
from small_rounds import small_config, small_data, trained

from dgaal_cli.config.schema import AcquisitionConfig
from dgaal_cli.methods.stochastic import acquire, perturbed

SCORES = np.array([1.0, 2.0, 3.0, 4.0])
ROWS = np.array([10, 11, 12, 13])


def first_picks(rule, beta, scores=SCORES, draws=4000):
    config = AcquisitionConfig(rule=rule, beta=beta)
    firsts = [acquire(scores, ROWS, 1, config=config, seed=seed)[0] for seed in range(draws)]
    return np.bincount(np.array(firsts) - 10, minlength=4) / draws


@pytest.mark.parametrize(
    ("rule", "beta", "weights"),
    [
        ("power", 1.0, SCORES),
        ("power", 2.0, SCORES**2),
        ("softmax", 1.0, np.exp(SCORES)),
        ("softrank", 1.0, 1 / np.array([4.0, 3.0, 2.0, 1.0])),
        ("softrank", 2.0, 1 / np.array([4.0, 3.0, 2.0, 1.0]) ** 2),
        ("power", 0.0, np.ones(4)),
    ],
)
def test_first_pick_has_the_documented_probability(rule, beta, weights):
    assert first_picks(rule, beta) == pytest.approx(weights / weights.sum(), abs=0.03)


def test_negative_scores_are_shifted_before_the_power():
    assert first_picks("power", 1.0, SCORES - 5.0)[0] == 0.0
    shifted = np.array([0.0, 1.0, 2.0, 3.0])
    assert first_picks("power", 1.0, SCORES - 5.0) == pytest.approx(shifted / 6, abs=0.03)


def test_top_rule_is_deterministic():
    for seed in range(3):
        picks = acquire(SCORES, ROWS, 3, config=AcquisitionConfig(), seed=seed)
        assert picks == [13, 12, 11]


def test_large_beta_equals_the_top_rule():
    rng = np.random.default_rng(0)
    for rule in ("power", "softmax", "softrank"):
        config = AcquisitionConfig(rule=rule, beta=1e9)
        assert np.array_equal(np.argsort(perturbed(SCORES, config, rng)), np.arange(4))


def test_zero_scores_are_last_under_the_power_rule():
    scores = np.array([0.0, 1e-9, 0.0, 5.0])
    for seed in range(50):
        picks = acquire(scores, ROWS, 2, config=AcquisitionConfig(rule="power"), seed=seed)
        assert set(picks) == {11, 13}


@pytest.mark.parametrize("parts", [2, 3, 7, 50])
def test_sub_batches_return_the_requested_number_of_distinct_rows(parts):
    rng = np.random.default_rng(1)
    scores, rows = rng.random(100), np.arange(100, 200)
    for count in (0, 1, 10, 99, 100):
        config = AcquisitionConfig(sub_batches=parts)
        picks = acquire(scores, rows, count, config=config, seed=4)
        assert len(picks) == len(set(picks)) == count
        assert set(picks) <= set(rows.tolist())


def test_sub_batches_include_lower_scores_and_the_best():
    scores, rows = np.arange(100.0), np.arange(100)
    config = AcquisitionConfig(sub_batches=5)
    picks = acquire(scores, rows, 20, config=config, seed=0)
    assert 99 in picks
    assert set(picks) != set(range(80, 100))
    assert np.mean(scores[picks]) > 80


@pytest.mark.parametrize("name", ["margin", "entropy", "bald", "ensemble"])
def test_acquisition_settings_apply_to_every_scoring_method(name, tmp_path):
    data = small_data()
    config = small_config(name, acquisition={"rule": "softrank", "beta": 0.1, "members": 2})
    method = trained(config, data, tmp_path)
    draws = [method.rank(data, 6, seed) for seed in (1, 2)]
    assert draws[0].picks != draws[1].picks
    assert "softrank 0.1" in draws[0].strategy
