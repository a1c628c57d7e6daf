"""DropQuery: against a plain, slow version, and what it asks."""

import numpy as np
import pytest

from dgaal_cli.features.clusters import k_means_centers
from dgaal_cli.features.herding import max_herding
from dgaal_cli.methods import drop_query
from dgaal_cli.methods.drop_query import DROP_QUERY, changed_share, kept_features, pick_clusters
from dgaal_cli.methods.feature_rules import PoolAnswers

NONE = np.array([], np.int64)


def pool(seed=0):
    """Return rows of length 1 in two clusters and between them, and labels of ten of each."""
    generator = np.random.default_rng(seed)
    centers = np.zeros((3, 24))
    centers[0, :12], centers[1, 12:], centers[2] = 1.0, 1.0, 0.5
    kinds = np.repeat(np.arange(3), [80, 80, 40])
    rows = centers[kinds] + 0.2 * generator.standard_normal((200, 24))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = np.full(200, -1)
    labels[:10], labels[80:90] = 0, 1
    return rows, labels, kinds


def answers_of(labels, ids=None):
    own = np.arange(len(labels)) if ids is None else ids
    return PoolAnswers(ids=own, labels=labels, probabilities=None)


def slow_share(rows, labels, ids):
    """Return the share of changes, copy by copy and row by row, with scikit-learn's regression."""
    from sklearn.linear_model import LogisticRegression

    labeled = labels >= 0
    model = LogisticRegression(C=10.0, tol=1e-9, max_iter=10_000)
    model.fit(rows[labeled], labels[labeled])
    found = []
    for row, item in zip(rows, ids, strict=True):
        changes = 0
        for kept in kept_features(int(item), rows.shape[1]):
            copy = np.array([4 * row[at] if kept[at] else 0.0 for at in range(len(row))])
            changes += int(model.predict(copy[None])[0] != model.predict(row[None])[0])
        found.append(changes / 3)
    return found


def test_changes_are_those_of_a_plain_slow_version():
    rows, labels = (values[::4] for values in pool()[:2])
    ids = 7 + 3 * np.arange(50)
    np.testing.assert_allclose(
        changed_share(rows, answers_of(labels, ids)), slow_share(rows, labels, ids)
    )


def test_a_quarter_of_the_features_is_kept():
    kept = np.stack([kept_features(item, 40) for item in range(300)])
    assert kept.mean() == pytest.approx(0.25, abs=0.01)
    assert not (kept[:, 0] == kept[:, 1]).all()


def ask(rows, labels, count):
    labeled = np.flatnonzero(labels >= 0)
    ids = np.arange(len(rows))
    return DROP_QUERY.choose(rows, ids, labeled, count, answers_of(labels)).positions


def test_what_lies_between_the_classes_is_asked():
    rows, labels, kinds = pool()
    assert (kinds[ask(rows, labels, 12)] == 2).mean() > 0.8


def test_control_without_dropped_features_nothing_changes(monkeypatch):
    monkeypatch.setattr(drop_query, "kept_features", lambda _, width: np.ones((3, width), bool))
    rows, labels, kinds = pool()
    assert not changed_share(rows, answers_of(labels)).any()
    assert (kinds[ask(rows, labels, 12)] == 2).mean() < 0.8


@pytest.mark.parametrize("count", [1, 12, 60, 180, 500])
def test_asked_rows_are_different_and_without_labels(count):
    rows, labels, _ = pool()
    asked = ask(rows, labels, count)
    assert len(asked) == len(set(asked.tolist())) == min(count, 180)
    assert (labels[asked] < 0).all()


def test_order_of_rows_does_not_matter():
    rows, labels, _ = pool()
    order = np.random.default_rng(1).permutation(200)
    mixed = answers_of(labels[order], order)
    labeled = np.flatnonzero(labels[order] >= 0)
    found = DROP_QUERY.choose(rows[order], order, labeled, 12, mixed)
    assert order[found.positions].tolist() == ask(rows, labels, 12).tolist()


def test_until_two_classes_have_labels_it_covers_the_pool():
    rows = pool()[0]
    plain = max_herding(rows, np.arange(200), NONE, 10)
    found = DROP_QUERY.choose(rows, np.arange(200), NONE, 10, None)
    assert found.positions.tolist() == plain.positions.tolist()


def test_one_row_of_each_cluster_is_picked_that_nearest_to_its_center():
    generator = np.random.default_rng(2)
    truth = np.repeat(np.arange(5), [40, 30, 20, 10, 5])
    rows = 9 * np.eye(5)[truth] + generator.standard_normal((105, 5))
    found = pick_clusters(rows, np.arange(105), NONE, 5, weights=np.ones(105)).positions
    expected = []
    for own in range(5):
        members = np.flatnonzero(truth == own)
        gaps = ((rows[members] - rows[members].mean(axis=0)) ** 2).sum(axis=1)
        expected.append(int(members[gaps.argmin()]))
    assert found.tolist() == expected  # the largest cluster first


def test_rows_that_changed_in_fewer_copies_fill_a_query():
    rows, weights = pool()[0], np.zeros(200)
    weights[[3, 50]], weights[[7, 9, 11]] = 1.0, 1 / 3
    found = pick_clusters(rows, np.arange(200), np.array([3]), 4, weights=weights)
    assert set(found.positions.tolist()) == {50, 7, 9, 11}
    assert found.scores.tolist() == weights.tolist()


def test_equal_rows_are_picked_once_each():
    rows = np.ones((20, 3))
    found = pick_clusters(rows, np.arange(20), NONE, 6, weights=np.ones(20)).positions
    assert len(set(found.tolist())) == 6


def test_centers_are_the_means_of_their_rows_and_as_good_as_those_of_scikit_learn():
    from sklearn.cluster import KMeans

    rows = pool()[0]
    centers = k_means_centers(rows, 8)
    squared = ((rows[:, None] - centers) ** 2).sum(axis=2)
    for own in range(8):
        members = squared.argmin(axis=1) == own
        np.testing.assert_allclose(centers[own], rows[members].mean(axis=0))
    theirs = KMeans(8, n_init=5, random_state=0).fit(rows).inertia_
    assert squared.min(axis=1).sum() < 1.1 * theirs
