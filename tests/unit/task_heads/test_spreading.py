"""Label spreading: the closed form, and images that no label reaches."""

import numpy as np
import pytest

from dgaal_cli.task_heads import spreading
from dgaal_cli.task_heads.affinity import Affinity
from dgaal_cli.task_heads.neighbors import exact
from dgaal_cli.task_heads.spreading import spread_labels


def blobs(count=6, size=15, gap=50.0, seed=0):
    """Return points in blobs far apart, and the blob of each."""
    generator = np.random.default_rng(seed)
    blob = np.repeat(np.arange(count), size)
    centers = gap * np.eye(count)
    return (centers[blob] + generator.standard_normal((count * size, count))).astype(
        np.float32
    ), blob


def affinity_of(points, count=5):
    return Affinity(exact(points, count)[0])


def dense(affinity):
    return affinity.times(np.eye(len(affinity)))


def one_hot(classes, count):
    return np.eye(count)[classes]


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9, 0.99])
def test_result_is_the_dense_solution(alpha):
    points, blob = blobs(gap=2.0)
    affinity, labeled = affinity_of(points), np.arange(0, len(points), 7)
    targets = one_hot(blob[labeled] % 3, 3)
    right = np.zeros((len(points), 3))
    right[labeled] = targets
    true = (1 - alpha) * np.linalg.solve(np.eye(len(points)) - alpha * dense(affinity), right)
    found = spread_labels(affinity, labeled, targets, alpha)
    np.testing.assert_allclose(found.values, true, atol=1e-7)


def test_converged_scikit_learn_agrees():
    from sklearn.semi_supervised import LabelSpreading

    points, blob = blobs(gap=3.0)
    affinity, labeled = affinity_of(points), np.arange(0, len(points), 4)
    weights = (dense(affinity) > 0) * 1.0
    mutual = exact(points, 5)[0]
    for row, neighbors in enumerate(mutual):
        for other in neighbors:
            weights[row, other] = weights[other, row] = (
                1.0 if row in mutual[other] and other in neighbors else 0.5
            )
    known = np.full(len(points), -1)
    known[labeled] = blob[labeled]
    theirs = LabelSpreading(
        kernel=lambda _x, _y: weights.copy(), alpha=0.8, max_iter=5000, tol=1e-12
    ).fit(points, known)
    found = spread_labels(affinity, labeled, one_hot(blob[labeled], 6), 0.8)
    np.testing.assert_allclose(found.probabilities(), theirs.label_distributions_, atol=1e-5)


def test_matrix_is_symmetric_and_bounded():
    matrix = dense(affinity_of(blobs()[0]))
    assert (matrix == matrix.T).all()
    assert np.abs(np.linalg.eigvalsh(matrix)).max() <= 1 + 1e-9


def test_unreached_images_are_told_apart():
    points, blob = blobs()
    labeled = np.array([0, 15, 30])
    found = spread_labels(affinity_of(points), labeled, one_hot(blob[labeled], 6), 0.9)
    assert found.is_reached.tolist() == (blob < 3).tolist()
    assert (found.probabilities()[blob < 3].argmax(axis=1) == blob[blob < 3]).all()
    np.testing.assert_allclose(found.probabilities()[blob >= 3], 1 / 6)


def test_every_image_of_a_long_chain_is_reached():
    points = np.arange(200, dtype=np.float32)[:, None] ** 1.01
    found = spread_labels(affinity_of(points, 4), np.array([0, 199]), np.eye(2), 0.99)
    assert found.is_reached.all()
    assert (found.probabilities().argmax(axis=1) == (np.arange(200) > 99)).mean() > 0.9


def test_no_label_reaches_nothing():
    found = spread_labels(affinity_of(blobs()[0]), np.empty(0, np.int64), np.empty((0, 3)), 0.9)
    assert not found.is_reached.any()


def test_control_a_few_sweeps_leave_images_without_values(monkeypatch):
    points = np.arange(200, dtype=np.float32)[:, None] ** 1.01
    monkeypatch.setattr(spreading, "_MAX_STEPS", 5)
    found = spread_labels(affinity_of(points, 4), np.array([0, 199]), np.eye(2), 0.99)
    assert not found.is_reached.all()


def test_single_image_is_its_own_pool():
    affinity = affinity_of(np.zeros((1, 2), np.float32), 0)
    found = spread_labels(affinity, np.array([0]), np.array([[0.0, 1.0]]), 0.9)
    assert found.probabilities().tolist() == [[0.0, 1.0]]
