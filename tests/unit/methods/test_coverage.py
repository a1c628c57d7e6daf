"""TypiClust and ProbCover on blobs with known answers, and compared with brute force."""

import numpy as np
import pytest
import torch
from small_rounds import set_labels, small_config, small_data, trained

from dgaal_cli.methods import coverage
from dgaal_cli.methods.clustering import k_means, typical_of_clusters, typicality
from dgaal_cli.methods.coverage import greedy_cover, purity_radius


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blobs(sizes=(40, 30, 20, 10), spread=0.2, seed=0):
    rng = np.random.default_rng(seed)
    means = 5.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[: len(sizes)]
    points = np.concatenate(
        [rng.normal(m, spread, (n, 2)) for m, n in zip(means, sizes, strict=True)]
    )
    return points.astype(np.float32), np.repeat(np.arange(len(sizes)), sizes)


def test_typicality_is_the_inverse_mean_distance_to_neighbors():
    points, _ = blobs((60,))
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2).astype(np.float64)
    expected = 1 / (np.sort(gaps, axis=1)[:, 1:21].mean(1) + 1e-5)
    assert typicality(points) == pytest.approx(expected, rel=1e-3)


def test_typicality_of_small_clusters_uses_half_of_their_points():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    expected = 1 / (np.array([2.0, 1.5, 2.5, 5.0]) + 1e-5)  # two neighbors each
    assert typicality(points) == pytest.approx(expected)
    assert typicality(points[:1]).tolist() == [0.0]
    assert typicality(points[:0]).tolist() == []


def test_center_is_more_typical_than_the_edge():
    points, _ = blobs((80,))
    distance = np.linalg.norm(points - points.mean(0), axis=1)
    assert distance[typicality(points).argmax()] < np.median(distance)
    assert distance[typicality(points).argmin()] > np.median(distance)


def test_typical_point_of_each_cluster_is_picked_largest_first():
    points, truth = blobs()
    picked, scores = typical_of_clusters(points, points[:0], 4, seed=0)
    assert truth[picked].tolist() == [0, 1, 2, 3]
    for row in picked:
        assert scores[row] == scores[truth == truth[row]].max()


def test_clusters_with_labels_come_last():
    points, truth = blobs()
    labeled = points[truth == 0][:2]
    picked, _ = typical_of_clusters(points, labeled, 2, seed=0)  # 2 labels + 2 queried: 4 clusters
    assert truth[picked].tolist() == [1, 2]


def test_clusters_are_visited_in_turn_and_small_ones_last():
    points, truth = blobs((40, 30, 20, 4))
    picked, _ = typical_of_clusters(points, points[:0], 4, seed=0)
    assert truth[picked].tolist() == [0, 1, 2, 0]
    everything, _ = typical_of_clusters(points, points[:0], len(points), seed=0)
    assert sorted(everything) == list(range(len(points)))


def test_duplicate_points_are_handled():
    points = np.ones((30, 3), np.float32)
    picked, scores = typical_of_clusters(points, points[:2], 30, seed=0)
    assert sorted(picked) == list(range(30))
    assert np.isfinite(scores).all()
    picked, _ = greedy_cover(points, points[:0], 30, radius=0.5)
    assert sorted(picked) == list(range(30))


def brute_cover(unlabeled, labeled, count, radius):
    points = np.concatenate([unlabeled, labeled])
    graph = np.linalg.norm(points[:, None] - points[None], axis=2) < radius
    np.fill_diagonal(graph, val=True)
    covered = graph[len(unlabeled) :].any(0)
    picked = []
    for _ in range(count):
        degrees = (graph & ~covered).sum(1)[: len(unlabeled)]
        picked.append(int(degrees.argmax()))
        covered |= graph[picked[-1]]
    return picked


@pytest.mark.parametrize("seed", range(6))
def test_greedy_cover_equals_brute_force(seed, monkeypatch):
    monkeypatch.setattr(coverage, "ROWS_AT_ONCE", 17)
    rng = np.random.default_rng(seed)
    unlabeled, labeled = rng.random((120, 2)), rng.random((seed, 2))
    radius = 0.15
    picked, scores = greedy_cover(unlabeled, labeled, 8, radius=radius)
    assert picked == brute_cover(unlabeled, labeled, 8, radius)
    assert scores[picked[0]] == scores.max()


def test_points_near_a_label_are_covered():
    unlabeled = np.array([[0.0], [0.1], [0.2], [5.0], [5.1]])
    picked, scores = greedy_cover(unlabeled, np.array([[0.1]]), 1, radius=0.5)
    assert picked[0] in (3, 4)
    assert scores.tolist() == [0, 0, 0, 2, 2]


def test_farthest_points_follow_when_all_points_are_covered():
    unlabeled = np.array([[0.0], [0.1], [0.4], [0.3]])
    picked, _ = greedy_cover(unlabeled, np.array([[0.0]]), 2, radius=10.0)
    assert picked == [2, 1]


def test_purity_radius_is_the_largest_pure_radius():
    points, _ = blobs(spread=0.8)
    clusters = k_means(points, 4, seed=3)
    radius = purity_radius(points, 4, purity=0.95, seed=3)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)

    def purity(r):
        return np.mean([(clusters[gaps[i] < r] == clusters[i]).all() for i in range(len(points))])

    assert purity(radius) >= 0.95 > purity(1.2 * radius)


@pytest.mark.parametrize("name", ["kernel-critic", "maxherding", "typiclust", "probcover"])
def test_first_query_without_labels_contains_both_classes(name, tmp_path):
    data = small_data(labeled=0)
    config = small_config(name, pretrain={"min_steps": 40})
    method = trained(config, data, tmp_path)
    ranking = method.rank(data, 2, 0)
    assert {pick % 2 for pick in ranking.picks} == {0, 1}
    assert ranking.strategy == name


@pytest.mark.parametrize("name", ["kernel-critic", "maxherding", "typiclust", "probcover"])
def test_query_prefers_the_class_without_labels(name, tmp_path):
    data = small_data(300, labeled=0)
    set_labels(data, slice(1, 80, 8), 1)
    config = small_config(name, pretrain={"min_steps": 40}, coverage={"radius": 0.5})
    method = trained(config, data, tmp_path)
    picks = method.rank(data, 6, 0).picks
    assert np.mean([pick % 2 == 0 for pick in picks]) > 0.6


def test_encoder_is_trained_once_and_carried_to_later_rounds(tmp_path):
    method = trained(small_config("typiclust"), small_data(), tmp_path)
    assert method.carried == {"encoder", "decoder", "latent_discriminator", "image_discriminator"}
    assert [p.name for p in method.learn(small_data(number=0))] == ["pretrain", "classifier"]
    assert [p.name for p in method.learn(small_data(number=1))] == ["classifier"]


def test_encoder_training_does_not_depend_on_labels(tmp_path):
    weights = [
        trained(small_config("typiclust"), small_data(labeled=n), tmp_path / str(n))
        .modules["encoder"]
        .project.weight
        for n in (0, 16)
    ]
    assert torch.equal(*weights)
