"""Diverse ranking: the best images are spread over feature space."""

import numpy as np
import pytest
from score_rows import scored, unreadable

from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.diverse import CANDIDATES, DiverseRanking
from dgaal_cli.scoring.rows import Row, Rows
from dgaal_cli.scoring.top_candidates import TopCandidates


def row(number: int, score: float) -> Row:
    return scored(SampleId(f"{number:05d}"), "", float(np.float32(score)), None, ("", None))


def chosen(rows: list[Row], features: np.ndarray, count: int, *, block: int = 50) -> list[Row]:
    ranking = DiverseRanking(count)
    start = offset = 0
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        readable = sum(not item.is_unreadable for item in part)
        ranking.add(Rows.of(part), features[offset : offset + readable].astype(np.float32))
        offset += readable
    return [row for block in ranking.ranked() for row in block]


def test_near_duplicates_are_not_chosen_before_other_images() -> None:
    # Ten copies of each of five images; the best ten scores are all copies of the first.
    features = np.repeat(np.eye(5), 10, axis=0) + 1e-3 * np.random.default_rng(0).random((50, 5))
    rows = [row(number, 50.0 - number) for number in range(50)]
    found = chosen(rows, features, 5)
    groups = [int(item.id) // 10 for item in found]
    assert groups == [0, 1, 2, 3, 4]
    assert sorted({int(item.id) // 10 for item in chosen(rows, features, 10)}) == [0, 1, 2, 3, 4]


def test_best_image_is_first_and_scores_descend() -> None:
    generator = np.random.default_rng(1)
    rows = [row(number, float(score)) for number, score in enumerate(generator.random(500))]
    found = chosen(rows, generator.random((500, 8)), 40)
    assert found[0] == min(rows)
    assert found == sorted(found)
    assert len({item.id for item in found}) == 40
    best = sorted(rows)[: 40 * CANDIDATES]
    assert set(found) <= set(best)


@pytest.mark.parametrize("block", [1, 7, 3000])
def test_selection_does_not_depend_on_the_block_size(block: int) -> None:
    generator = np.random.default_rng(2)
    rows = [row(number, float(score)) for number, score in enumerate(generator.random(3000))]
    features = generator.random((3000, 4))
    assert chosen(rows, features, 10, block=block) == chosen(rows, features, 10)


def test_many_duplicates_leave_places_for_other_images() -> None:
    generator = np.random.default_rng(3)
    copies = np.ones((300, 8)) + 1e-3 * generator.random((300, 8))
    others = generator.normal(size=(40, 8))
    rows = [row(number, 500.0 - number) for number in range(340)]
    found = chosen(rows, np.concatenate([copies, others]), 10)
    assert [int(item.id) for item in found if int(item.id) < 300] == [0]
    # If there are fewer different images than places, duplicates fill them, best first.
    found = chosen(rows, np.concatenate([copies, others]), 60)
    assert [int(item.id) for item in found] == [*range(20), *range(300, 340)]


def test_chosen_duplicate_has_the_highest_score() -> None:
    rows = [row(number, float(number)) for number in range(6)]
    assert [item.id for item in chosen(rows, np.ones((6, 3)), 1)] == ["00005"]


def test_ranking_keeps_only_candidates_in_memory() -> None:
    candidates = TopCandidates(100)
    for number in range(5_000):
        candidates.add(Rows.of([row(number, float(number))]), np.zeros((1, 3), np.float32))
        assert len(candidates) <= 2 * 100 + 1
    best = candidates.best()
    assert best is not None
    assert best[0].ids == [f"{number:05d}" for number in range(4_999, 4_899, -1)]


def test_unreadable_images_are_not_ranked() -> None:
    rows = [unreadable(SampleId("bad"), "", "why"), row(1, 1.0), row(2, 2.0)]
    assert [item.id for item in chosen(rows, np.eye(2), 9)] == ["00002", "00001"]
    ranking = DiverseRanking(3)
    ranking.add(Rows.of([rows[0]]))
    assert list(ranking.ranked()) == []
