"""The draw of a query has the probabilities that its rule states."""

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
def test_the_first_pick_has_the_stated_probability(rule, beta, weights):
    assert first_picks(rule, beta) == pytest.approx(weights / weights.sum(), abs=0.03)


def test_negative_scores_are_raised_before_the_power():
    assert first_picks("power", 1.0, SCORES - 5.0)[0] == 0.0
    raised = np.array([0.0, 1.0, 2.0, 3.0])
    assert first_picks("power", 1.0, SCORES - 5.0) == pytest.approx(raised / 6, abs=0.03)


def test_top_is_the_highest_and_draws_nothing():
    for seed in range(3):
        picks = acquire(SCORES, ROWS, 3, config=AcquisitionConfig(), seed=seed)
        assert picks == [13, 12, 11]


def test_a_large_beta_is_the_top():
    rng = np.random.default_rng(0)
    for rule in ("power", "softmax", "softrank"):
        config = AcquisitionConfig(rule=rule, beta=1e9)
        assert np.array_equal(np.argsort(perturbed(SCORES, config, rng)), np.arange(4))


def test_zero_scores_come_last_under_power():
    scores = np.array([0.0, 1e-9, 0.0, 5.0])
    for seed in range(50):
        picks = acquire(scores, ROWS, 2, config=AcquisitionConfig(rule="power"), seed=seed)
        assert set(picks) == {11, 13}


@pytest.mark.parametrize("parts", [2, 3, 7, 50])
def test_parts_cover_the_asked_number_without_repetition(parts):
    rng = np.random.default_rng(1)
    scores, rows = rng.random(100), np.arange(100, 200)
    for count in (0, 1, 10, 99, 100):
        config = AcquisitionConfig(sub_batches=parts)
        picks = acquire(scores, rows, count, config=config, seed=4)
        assert len(picks) == len(set(picks)) == count
        assert set(picks) <= set(rows.tolist())


def test_parts_give_way_to_lower_scores_but_keep_the_best():
    scores, rows = np.arange(100.0), np.arange(100)
    config = AcquisitionConfig(sub_batches=5)
    picks = acquire(scores, rows, 20, config=config, seed=0)
    assert 99 in picks
    assert set(picks) != set(range(80, 100))
    assert np.mean(scores[picks]) > 80


@pytest.mark.parametrize("name", ["margin", "entropy", "bald", "ensemble"])
def test_the_switch_reaches_every_method_that_scores(name, tmp_path):
    data = small_data()
    config = small_config(name, acquisition={"rule": "softrank", "beta": 0.1, "members": 2})
    method = trained(config, data, tmp_path)
    draws = [method.rank(data, 6, seed) for seed in (1, 2)]
    assert draws[0].picks != draws[1].picks
    assert "softrank 0.1" in draws[0].strategy
