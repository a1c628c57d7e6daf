"""Labeling progress: 0 at the first query, 1 at the last query."""

import pytest

from dgaal_cli.training.data import labeling_progress


@pytest.mark.parametrize(
    ("labeled", "first", "progress"),
    [(40, 40, 0.0), (80, 40, 0.25), (200, 40, 1.0), (240, 40, 1.0), (0, 0, 0.0), (100, 0, 0.5)],
)
def test_progress_is_linear_from_first_to_last_query_of_the_budget(labeled, first, progress):
    found = labeling_progress(
        3, labeled=labeled, first=first, query_size=40, total=1000, budget=240
    )
    assert found == pytest.approx(progress)


def test_progress_is_one_at_the_end_of_a_small_pool():
    assert labeling_progress(0, labeled=60, first=0, query_size=40, total=100, budget=900) == 1.0


def test_progress_of_the_only_query_is_zero():
    assert labeling_progress(0, labeled=50, first=50, query_size=50, total=900, budget=100) == 0.0


def test_progress_without_a_budget_reaches_one_at_round_ten():
    known = {"labeled": 500, "first": 0, "query_size": 50, "total": 900, "budget": 0}
    assert [labeling_progress(number, **known) for number in (0, 5, 10, 12)] == [0, 0.5, 1, 1]
