"""Recall and precision by an audit: their intervals contain the true values."""

import numpy as np
import pytest
from audited_pools import NAMES, answers, pool

from dgaal_cli.audit import classes as module
from dgaal_cli.audit.classes import balanced_accuracy, class_estimates
from dgaal_cli.audit.estimate import cautious, wilson


def missed(labels, predicted, confidences, *, count, draws):
    """Return the share of intervals that miss the pool's recall, precision or their mean recall."""
    is_hit = labels == predicted
    recalls = [is_hit[labels == at].mean() for at in range(3)]
    precisions = [is_hit[predicted == at].mean() for at in range(3)]
    misses = []
    for seed in range(draws):
        found = class_estimates(answers(labels, predicted, confidences, count, seed), NAMES)
        pairs = [(each.recall, true) for each, true in zip(found, recalls, strict=True)]
        pairs += [(each.precision, true) for each, true in zip(found, precisions, strict=True)]
        pairs.append((balanced_accuracy(found), np.mean(recalls)))
        misses += [not own.low <= true <= own.high for own, true in pairs if own is not None]
    return np.mean(misses)


@pytest.mark.parametrize("sharpness", [1, 0.2, -0.1])
def test_intervals_of_classes_miss_in_at_most_5_percent(sharpness):
    labels, predicted, confidences = pool(sharpness)
    confidences = confidences / confidences.max()
    assert missed(labels, predicted, confidences, count=80, draws=100) <= 0.05


def test_intervals_that_count_images_of_other_classes_are_noticed(monkeypatch):
    monkeypatch.setattr(module, "cautious", lambda share, count, level: wilson(share, 80, level))
    assert missed(*pool(1), count=80, draws=60) > 0.05


def test_a_class_with_few_audited_images_has_no_recall():
    given = answers(*pool(1), 60, 0)
    few = [each for each in given if each.label != "rare"]
    few += [each for each in given if each.label == "rare"][:2]
    found = class_estimates(few, NAMES)
    assert (found[2].recall, found[2].labeled) == (None, 2)
    assert found[0].recall is not None
    assert balanced_accuracy(found) is None


def test_a_class_without_audited_images_is_reported_with_none():
    found = class_estimates(answers(*pool(1), 60, 0), [*NAMES, "new"])
    assert (found[3].labeled, found[3].predicted) == (0, 0)
    assert found[3].recall is found[3].precision is None


def test_without_answers_every_class_is_unknown():
    found = class_estimates([], NAMES)
    assert [each.recall for each in found] == [None] * 3
    assert balanced_accuracy(found) is balanced_accuracy([]) is None


def test_an_audit_of_the_whole_pool_knows_recall_and_precision():
    labels, predicted, confidences = (part[:60] for part in pool(1))
    found = class_estimates(answers(labels, predicted, confidences, 60, 0), NAMES)
    true = (labels == predicted)[labels == 0].mean()
    ends = (found[0].recall.value, found[0].recall.low, found[0].recall.high)
    assert ends == pytest.approx((true, true, true))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("count", [1, 5, 12.5, 400])
def test_the_cautious_interval_contains_wilsons(share, count):
    own, usual = cautious(share, count), wilson(share, count)
    assert own.low <= usual.low <= share <= usual.high <= own.high
