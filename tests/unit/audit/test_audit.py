"""The audit's intervals contain the true accuracy as often as they state."""

import numpy as np
import pytest

from dgaal_cli.audit import estimate as module
from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.anytime import lower_bound, upper_bound
from dgaal_cli.audit.design import MAX_WEIGHT, draw
from dgaal_cli.audit.estimate import estimate
from dgaal_cli.audit.stratum import Stratum

POOL = 2000


def pools():
    """Return confidences of models and on which images they are right."""
    random = np.random.default_rng(5)
    calibrated = random.beta(5.7, 0.3, POOL)
    doubtful = random.random(POOL)
    return [
        pytest.param(calibrated, random.random(POOL) < calibrated, id="calibrated"),
        pytest.param(random.beta(9, 1, POOL), random.random(POOL) < 0.7, id="too sure"),
        pytest.param(doubtful, random.random(POOL) < 0.99 - 0.1 * doubtful, id="reversed"),
    ]


def answers(confidences, is_right, count, seed):
    return [
        AuditAnswer(
            audit=0,
            total=len(confidences),
            stratum=each.stratum,
            is_right=bool(is_right[each.position]),
        )
        for each in draw(confidences, count, seed=seed)
    ]


def coverage(confidences, is_right, count, draws):
    """Return the share of intervals that contain the pool's accuracy."""
    true, found = is_right.mean(), 0
    for seed in range(draws):
        interval = estimate(answers(confidences, is_right, count, seed))
        found += interval.low <= true <= interval.high
    return found / draws


@pytest.mark.parametrize(("confidences", "is_right"), pools())
def test_intervals_of_95_percent_contain_the_accuracy_in_94_percent_of_draws(confidences, is_right):
    assert coverage(confidences, is_right, 60, 250) >= 0.94 - 2 * (0.94 * 0.06 / 250) ** 0.5


def test_intervals_that_are_too_narrow_are_noticed(monkeypatch):
    confidences, is_right = pools()[0].values
    whole = module.wilson
    monkeypatch.setattr(
        module, "wilson", lambda share, count, level: whole(share, 4 * count, level)
    )
    assert coverage(confidences, is_right, 60, 100) < 0.9


@pytest.mark.parametrize(("confidences", "is_right"), pools())
def test_the_estimate_is_not_biased_by_a_wrong_confidence(confidences, is_right):
    found = [estimate(answers(confidences, is_right, 40, seed)).value for seed in range(100)]
    error = np.std(found) / len(found) ** 0.5
    assert abs(np.mean(found) - is_right.mean()) < 4 * error


def false_stops(confidences, is_right, bound, runs):
    """Return the share of runs in which a bound is wrong after any of 60 answers."""
    wrong = 0
    for seed in range(runs):
        given = answers(confidences, is_right, 60, seed)
        looks = (bound(given[:count]) for count in range(10, len(given) + 1, 10))
        wrong += any(low > is_right.mean() for low in looks)
    return wrong / runs


@pytest.mark.parametrize(("confidences", "is_right"), pools())
def test_the_lower_bound_holds_at_every_look(confidences, is_right):
    assert false_stops(confidences, is_right, lower_bound, 30) <= 0.05


def test_a_bound_for_one_look_fails_when_one_looks_often():
    confidences, is_right = pools()[1].values
    assert false_stops(confidences, is_right, lambda a: estimate(a, 0.9).low, 60) > 0.05


def test_bounds_get_closer_with_more_answers():
    confidences, is_right = pools()[0].values
    few, many = (answers(confidences, is_right, count, 1) for count in (30, 400))
    assert lower_bound(few) < lower_bound(many) < is_right.mean() < upper_bound(many)


def test_an_audit_of_the_whole_pool_knows_the_accuracy():
    is_right = np.arange(50) % 5 != 0
    found = estimate(answers(np.full(50, 0.8), is_right, 50, 0))
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.8, 0.8))


def test_no_image_is_drawn_twice_or_counts_too_much():
    confidences, _ = pools()[0].values
    drawn = draw(confidences, 200, seed=3)
    assert len({each.position for each in drawn}) == len(drawn) == 200
    assert max(each.stratum.size / POOL / each.stratum.share for each in drawn) <= MAX_WEIGHT
    assert drawn == draw(confidences, 200, seed=3) != draw(confidences, 200, seed=4)


def test_doubtful_images_are_drawn_more_often():
    confidences, _ = pools()[0].values
    positions = [each.position for each in draw(confidences, 400, seed=0)]
    assert confidences[positions].mean() < confidences.mean()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_very_small_audit_gives_a_wide_interval(count):
    confidences, is_right = pools()[0].values
    found = estimate(answers(confidences, is_right, count, 0))
    assert found.low <= is_right.mean() <= found.high
    assert lower_bound(answers(confidences, is_right, count, 0)) < 0.5


def test_images_of_a_stratum_without_answers_count_with_another_one():
    half = Stratum(number=0, size=50, share=0.5)
    given = [AuditAnswer(audit=0, total=100, stratum=half, is_right=x < 9) for x in range(10)]
    assert estimate(given).value == pytest.approx(0.9)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="no audited image"):
        estimate([])
    with pytest.raises(ValueError, match="at least one"):
        draw(np.zeros(0), 3, seed=0)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        draw(np.array([np.nan]), 3, seed=0)
    assert (lower_bound([]), upper_bound([])) == (0.0, 1.0)
