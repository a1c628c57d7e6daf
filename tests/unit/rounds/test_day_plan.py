"""A plan keeps the time, the pool and the rules that it states."""

from dataclasses import replace

import pytest

from dgaal_cli.audit.forecast import MeasuredModel, forecast
from dgaal_cli.rounds.day_plan import Effort, day_plan

EFFORT = Effort(
    seconds=6 * 3600, answer_s=4.0, pause_s=60.0, labels=0, audited=0, left=20_000, size=24
)


def spent(rounds):
    return sum(each.labeling_s + each.pause_s for each in rounds)


@pytest.mark.parametrize("hours", [0.05, 0.5, 6, 24])
@pytest.mark.parametrize("answer_s", [0.5, 4.0, 30.0])
@pytest.mark.parametrize("left", [1, 90, 20_000])
def test_a_plan_keeps_time_and_pool(hours, answer_s, left):
    effort = replace(EFFORT, seconds=3600 * hours, answer_s=answer_s, left=left)
    rounds = day_plan(effort, None)
    assert spent(rounds) <= effort.seconds
    assert sum(each.images + each.audited for each in rounds) <= left
    assert all(each.images > 0 for each in rounds)


def test_a_plan_uses_the_time():
    assert spent(day_plan(EFFORT, None)) > 0.99 * EFFORT.seconds - EFFORT.pause_s


def test_training_takes_at_most_a_tenth_of_the_time_of_a_query():
    rounds = day_plan(replace(EFFORT, pause_s=300.0), None)
    assert all(each.pause_s <= 0.1 * each.labeling_s for each in rounds[:-1])


def test_an_audit_starts_at_100_labels_and_has_30_images():
    rounds = day_plan(EFFORT, None)
    before = [0, *(each.labels for each in rounds)]
    is_audited = [each.audited > 0 for each in rounds]
    assert is_audited == [labels >= 100 for labels in before[:-1]]
    assert sum(each.audited for each in rounds) >= 30


def test_without_time_or_images_there_is_no_round():
    assert day_plan(replace(EFFORT, seconds=3), None) == []
    assert day_plan(replace(EFFORT, left=0), None) == []
    assert day_plan(replace(EFFORT, pause_s=1e6), None) == []


def test_the_expected_accuracy_rises_with_the_forecast():
    models = [
        MeasuredModel(labels=count, accuracy=1 - 2 * count**-0.6, deviation=0.01)
        for count in (50, 100, 200)
    ]
    rounds = day_plan(replace(EFFORT, labels=200), forecast(models))
    values = [each.accuracy.value for each in rounds]
    assert values == sorted(values)
    assert values[-1] > values[0]
