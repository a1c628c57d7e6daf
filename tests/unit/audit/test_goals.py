"""Bounds of goals hold at every look; the forecast contains what later labels bring."""

import numpy as np
import pytest
from audited_pools import NAMES, answers, pool

from dgaal_cli.audit.forecast import MeasuredModel, forecast
from dgaal_cli.audit.goal import Bounds, Goal
from dgaal_cli.audit.goal_bounds import goal_bounds
from dgaal_cli.audit.stopping import criteria


def false_bounds(bounds, runs=25):
    """Return the share of runs in which a bound of a recall is wrong at any of 10 looks."""
    labels, predicted, confidences = pool(0.2)
    true = (predicted == 1)[labels == 1].mean()
    wrong = 0
    for seed in range(runs):
        given = answers(labels, predicted, confidences, 100, seed)
        looks = [bounds(given[:count]) for count in range(10, 101, 10)]
        wrong += any(not found.low <= true <= found.high for found in looks)
    return wrong / runs


RECALL = Goal(kind="recall", target=0.9, class_name="usual", uid="usual")


def test_bounds_of_a_recall_hold_at_every_look():
    assert false_bounds(lambda given: goal_bounds(given, RECALL)) <= 0.05


def test_bounds_at_a_low_level_are_noticed():
    def simple(given):
        hits = [each.label == each.predicted for each in given if each.label == "usual"]
        share = np.mean(hits) if hits else 0.5
        return Bounds(low=share - 0.05, high=share + 0.05)

    assert false_bounds(simple) > 0.05


@pytest.mark.parametrize("kind", ["recall", "precision"])
def test_bounds_get_closer_with_more_answers(kind):
    labels, predicted, confidences = pool(1)
    given = answers(labels, predicted, confidences, 600, 0)
    goal = Goal(kind=kind, target=0.9, class_name="common", uid="common")
    few, many = (goal_bounds(given[:count], goal) for count in (60, 600))
    of = labels == 0 if kind == "recall" else predicted == 0
    assert few.low < many.low < (labels == predicted)[of].mean() < many.high <= few.high


def test_without_answers_or_class_nothing_is_known():
    whole = Bounds(low=0.0, high=1.0)
    assert goal_bounds([], RECALL) == whole
    given = answers(*pool(1), 60, 0)
    assert goal_bounds(given, Goal(kind="recall", target=0.5, class_name="new")).low == 0
    assert NAMES[1] == RECALL.uid


def models(labels, *, floor, scale, power, noise, seed=0):
    random = np.random.default_rng(seed)
    return [
        MeasuredModel(
            labels=count,
            accuracy=float(1 - floor - scale * count**-power + noise * random.standard_normal()),
            deviation=noise,
        )
        for count in labels
    ]


def test_a_forecast_contains_the_labels_that_a_goal_needs():
    is_within = []
    for seed in range(20):
        found = forecast(
            models([40, 80, 120, 160, 200], floor=0, scale=2, power=0.6, noise=0.01, seed=seed)
        )
        ahead = found.labels_to(0.95)
        is_within.append(ahead.low <= (2 / 0.05) ** (1 / 0.6) - 200 <= ahead.high)
    assert np.mean(is_within) >= 0.8


def test_a_forecast_knows_that_a_curve_ends_below_a_goal():
    found = forecast(models([50, 100, 200, 400, 800], floor=0.2, scale=3, power=1, noise=0.004))
    assert found.labels_to(0.95).median > 10_000
    assert found.gain(100).value < 0.02


def test_a_goal_that_is_reached_needs_no_labels():
    found = forecast(models([50, 100, 200], floor=0, scale=2, power=0.6, noise=0.005))
    assert found.labels_to(0.5).high == 0


def test_too_few_models_give_no_forecast():
    assert forecast([]) is None
    assert forecast(models([50, 50, 100], floor=0, scale=2, power=0.6, noise=0.01)) is None


def test_criteria_say_stop_once_nothing_changes():
    stable = {item: item % 3 for item in range(50)}
    found = criteria(
        [stable] * 4, pool_uncertainty=0.001, query_uncertainty=0.002, accuracies=[0.9, 0.901]
    )
    assert [each.says_stop for each in found] == [True] * 4
    moving = [{item: (item + number) % 3 for item in range(50)} for number in range(4)]
    found = criteria(moving, pool_uncertainty=0.2, query_uncertainty=0.5, accuracies=[0.7, 0.8])
    assert [each.says_stop for each in found] == [False] * 4


def test_criteria_without_a_model_do_not_say_stop():
    found = criteria([], pool_uncertainty=None, query_uncertainty=None, accuracies=[])
    assert [(each.value, each.says_stop) for each in found] == [(None, False)] * 4
