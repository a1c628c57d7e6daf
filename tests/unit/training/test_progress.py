"""How far the labeling is: 0 at the first query, 1 at the last one."""

import pytest

from dgaal_cli.training.data import labeling_progress


@pytest.mark.parametrize(
    ("labeled", "first", "progress"),
    [(40, 40, 0.0), (80, 40, 0.25), (200, 40, 1.0), (240, 40, 1.0), (0, 0, 0.0), (100, 0, 0.5)],
)
def test_of_a_budget_it_runs_from_the_first_query_to_the_last(labeled, first, progress):
    found = labeling_progress(
        3, labeled=labeled, first=first, query_size=40, total=1000, budget=240
    )
    assert found == pytest.approx(progress)


def test_a_pool_smaller_than_the_budget_ends_it():
    assert labeling_progress(0, labeled=60, first=0, query_size=40, total=100, budget=900) == 1.0


def test_the_only_query_is_the_first_one():
    assert labeling_progress(0, labeled=50, first=50, query_size=50, total=900, budget=100) == 0.0


def test_without_a_budget_the_tenth_round_counts_as_the_last():
    known = {"labeled": 500, "first": 0, "query_size": 50, "total": 900, "budget": 0}
    assert [labeling_progress(number, **known) for number in (0, 5, 10, 12)] == [0, 0.5, 1, 1]
