"""k-center: the fast traversal equals brute force, also with duplicates and rounding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_rounds import deployed, small_config, small_data, trained

from dgaal_cli.methods import k_center as subject
from dgaal_cli.methods.badge import gradient_lengths
from dgaal_cli.methods.k_center import k_center, nearest_distances
from dgaal_cli.training.classifier import predict


def brute_force(points, centers, count):
    points, centers = points.astype(np.float64), centers.astype(np.float64)
    gap = np.linalg.norm(points[:, None] - centers[None], axis=2).min(1)
    picked = []
    for _ in range(count):
        picked.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(points - points[picked[-1]], axis=1))
        gap[picked] = -np.inf
    return picked


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 30), st.booleans())
def test_picks_equal_brute_force(seed, size, width, has_duplicates):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(size, width)).astype(np.float32)
    if has_duplicates:
        points = np.concatenate([points, points[: size // 2]])
    centers = rng.normal(size=(1 + seed % 9, width)).astype(np.float32)
    count = int(rng.integers(0, len(points) + 1))
    assert k_center(points, centers, count) == brute_force(points, centers, count)


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_block_size_changes_no_pick(block, monkeypatch):
    rng = np.random.default_rng(1)
    points, centers = rng.normal(size=(300, 8)), rng.normal(size=(20, 8))
    monkeypatch.setattr(subject, "BLOCK", block)
    monkeypatch.setattr(subject, "ROWS_AT_ONCE", 64)
    monkeypatch.setattr(subject, "CENTERS_AT_ONCE", 7)
    assert k_center(points, centers, 150) == brute_force(points, centers, 150)


def test_points_far_from_the_origin_are_picked_in_the_right_order():
    """Without centering, squared norms of 1e8 would hide distances of 1 in float32."""
    rng = np.random.default_rng(2)
    points = (rng.normal(size=(200, 16)) + 1e4).astype(np.float32)
    assert k_center(points, points[:3], 60) == brute_force(points, points[:3], 60)


def test_distances_equal_in_float32_are_compared_exactly():
    """Two distant points whose distances differ by 1e-8: the farther point is picked first."""
    points = np.zeros((50, 2))
    points[10], points[40] = (100.0, 0.0), (0.0, 100.000001)
    assert k_center(points, np.zeros((1, 2)), 2) == [40, 10]


def test_equal_points_are_picked_in_order():
    assert k_center(np.ones((600, 4)), np.ones((1, 4)), 600) == list(range(600))


def test_first_pick_without_centers_is_the_middle_point():
    points = np.array([[0.0], [4.0], [5.0], [10.0]])
    assert k_center(points, np.zeros((0, 1)), 3) == [2, 0, 3]


def test_nearest_distances_equal_brute_force():
    rng = np.random.default_rng(3)
    points, centers = rng.normal(size=(500, 12)), rng.normal(size=(40, 12))
    expected = np.linalg.norm(points[:, None] - centers[None], axis=2).min(1)
    assert nearest_distances(points, centers) == pytest.approx(expected, rel=1e-9)


def test_coreset_asks_the_farthest_image_first(tmp_path):
    data = small_data()
    method = trained(small_config("coreset"), data, tmp_path)
    ranking = method.rank(data, 10, 0)
    unlabeled = predict(method.classifier, data.pixels[ranking.rows], data.device).features
    labeled = predict(method.classifier, data.pixels[data.labeled_rows], data.device).features
    expected = np.linalg.norm(unlabeled[:, None].astype(float) - labeled[None], axis=2).min(1)
    assert ranking.scores == pytest.approx(expected, rel=1e-5)
    assert ranking.picks == [ranking.rows[i] for i in brute_force(unlabeled, labeled, 10)]
    assert ranking.picks[0] == ranking.rows[ranking.scores.argmax()]
    sampler = deployed(method, data, "sampler").eval()
    with torch.no_grad():
        scores = sampler(torch.from_numpy(data.pixels[ranking.rows]))[0].numpy()
    assert scores == pytest.approx(ranking.scores, abs=1e-5)


def test_gradient_lengths_equal_the_norms_of_the_embeddings():
    rng = np.random.default_rng(5)
    probabilities, features = rng.dirichlet(np.ones(5), 20), rng.normal(size=(20, 6))
    residual = probabilities - np.eye(5)[probabilities.argmax(1)]
    embedded = (residual[:, :, None] * features[:, None, :]).reshape(20, -1)
    assert gradient_lengths(probabilities, features) == pytest.approx(
        np.linalg.norm(embedded, axis=1)
    )


def test_badge_starts_with_the_longest_gradient_and_depends_on_the_seed(tmp_path):
    data = small_data()
    method = trained(small_config("badge"), data, tmp_path)
    ranking = method.rank(data, 10, 0)
    assert ranking.picks[0] == ranking.rows[ranking.scores.argmax()]
    assert set(ranking.picks) != set(method.rank(data, 10, 1).picks)
    sampler = deployed(method, data, "sampler").eval()
    with torch.no_grad():
        scores = sampler(torch.from_numpy(data.pixels[ranking.rows]))[0].numpy()
    assert scores == pytest.approx(ranking.scores, rel=1e-4)
