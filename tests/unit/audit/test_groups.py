"""Intervals for images of new groups contain the true accuracy as often as they state."""

import numpy as np
import pytest

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.estimate import estimate
from dgaal_cli.audit.groups import MIN_GROUPS, for_new_groups
from dgaal_cli.audit.stratum import Stratum

ACCURACY = 0.85


def answers(seed, *, groups=40, each=5, spread=0.12):
    """Audit groups whose accuracies differ, with the mean 0.85; return answers and groups."""
    random = np.random.default_rng(seed)
    strength = ACCURACY * (1 - ACCURACY) / spread**2 - 1
    shares = random.beta(ACCURACY * strength, (1 - ACCURACY) * strength, groups)
    whole = Stratum(number=0, size=20 * groups * each, share=1.0)
    members = np.repeat(np.arange(groups), each).tolist()
    is_right = (random.random(len(members)) < shares[members]).tolist()
    found = [AuditAnswer(audit=0, total=whole.size, stratum=whole, is_right=r) for r in is_right]
    return found, members


def coverage(interval_of, **options):
    found = [interval_of(*answers(seed, **options)) for seed in range(300)]
    return float(np.mean([each.low <= ACCURACY <= each.high for each in found]))


@pytest.mark.parametrize(
    "options",
    [{}, {"spread": 0.25}, {"groups": MIN_GROUPS, "each": 8}, {"groups": 100, "each": 1}],
    ids=str,
)
def test_intervals_of_95_percent_contain_the_accuracy_of_new_groups(options):
    assert coverage(for_new_groups, **options) >= 0.95 - 2 * (0.95 * 0.05 / 300) ** 0.5


def test_intervals_that_ignore_the_groups_are_noticed():
    assert coverage(lambda given, _: estimate(given), spread=0.25) < 0.88


def test_few_groups_say_nothing_of_new_ones():
    assert for_new_groups(*answers(0, groups=MIN_GROUPS - 1)) is None


def test_groups_that_are_right_as_a_whole_count_once():
    given, members = answers(1, each=1)
    one = for_new_groups(given, members)
    ten = for_new_groups(given * 10, members * 10)
    assert one is not None
    assert ten is not None
    assert ten.low == pytest.approx(one.low, abs=0.01)
    assert ten.high == pytest.approx(one.high, abs=0.01)
