"""Neighbors by all distances and by trees."""

import numpy as np
import pytest

from dgaal_cli.task_heads import neighbors
from dgaal_cli.task_heads.components import fit_components
from dgaal_cli.task_heads.neighbors import approximate, exact, nearest, nearest_in


def points(count, width=8, seed=0):
    generator = np.random.default_rng(seed)
    centers = 3 * generator.standard_normal((20, width))
    return (
        centers[generator.integers(20, size=count)] + generator.standard_normal((count, width))
    ).astype(np.float32)


def recall(found, true):
    pairs = zip(found, true, strict=True)
    return np.mean([len(set(a.tolist()) & set(b.tolist())) / len(b) for a, b in pairs])


def test_exact_neighbors_are_those_of_scikit_learn(monkeypatch):
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr(neighbors, "_BLOCK_VALUES", 5000)  # several blocks
    rows = points(300)
    found, squared = exact(rows, 7)
    distances, true = NearestNeighbors(n_neighbors=8, algorithm="brute").fit(rows).kneighbors()
    del distances
    assert (found == true[:, :7]).all()
    gaps = ((rows[:, None] - rows[found]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared, gaps, rtol=1e-3)


def test_a_point_is_never_its_own_neighbor_among_equal_points():
    rows = np.zeros((40, 3), np.float32)
    for found in (exact(rows, 5)[0], approximate(rows, 5)[0]):
        assert (found != np.arange(40)[:, None]).all()
        assert all(len(set(row.tolist())) == 5 for row in found)


def test_few_points_have_fewer_neighbors():
    assert nearest(points(3), 10)[0].shape == (3, 2)
    assert nearest(points(1), 10)[0].shape == (1, 0)


@pytest.fixture
def small_leaves(monkeypatch):
    monkeypatch.setattr(neighbors, "_LEAF", 100)


@pytest.mark.usefixtures("small_leaves")
def test_trees_find_nearly_all_neighbors():
    rows = points(1000)
    assert recall(approximate(rows, 10)[0], exact(rows, 10)[0]) > 0.95


@pytest.mark.usefixtures("small_leaves")
def test_control_single_tree_without_exploration_finds_fewer(monkeypatch):
    monkeypatch.setattr(neighbors, "_TREES", 1)
    monkeypatch.setattr(neighbors, "_EXPLORATIONS", 0)
    rows = points(1000)
    assert recall(approximate(rows, 10)[0], exact(rows, 10)[0]) < 0.9


@pytest.mark.usefixtures("small_leaves")
def test_many_copies_do_not_hide_the_other_points():
    rows = np.concatenate([np.zeros((500, 8), np.float32), points(500)])
    found, true = approximate(rows, 10)[0], exact(rows, 10)[0]
    assert recall(found[500:], true[500:]) > 0.9


def test_neighbors_of_other_points_include_an_equal_one():
    rows = points(50)
    found, squared = nearest_in(rows[:5], rows, 3)
    assert found[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert squared[:, 0].max() < 1e-3


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    rows = points(200, 12).astype(np.float16)
    rows[:, 3] = 1  # no variance
    found = fit_components(rows, 5)(rows)
    true = PCA(5).fit_transform(StandardScaler().fit_transform(rows.astype(np.float64)))
    np.testing.assert_allclose(np.abs(found), np.abs(true), atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_components_of_few_rows_are_finite(count):
    rows = points(count, 5)
    assert np.isfinite(fit_components(rows, 64)(rows)).all()
