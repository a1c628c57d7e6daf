"""The online learner: exact updates, exact removal of labels, and combination with the prior."""

import numpy as np
import pytest

from dgaal_cli.scoring.prediction_file import PoolPredictions, load_pool_predictions
from dgaal_cli.scoring.quick_learner import QuickLearner, margins


def blobs(count: int = 300, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=2.0, size=(classes, 6))
    labels = np.arange(count) % classes
    return (centers[labels] + rng.normal(size=(count, 6))).astype(np.float32), labels


def empty_prior(count: int, classes: int) -> np.ndarray:
    return np.zeros((count, classes), np.float32)


def test_learn_one_by_one_equals_fit():
    features, labels = blobs()
    rows = np.arange(120)
    online = QuickLearner(features, empty_prior(300, 4))
    for row in rows:
        online.learn(int(row), int(labels[row]))
    batch = QuickLearner(features, empty_prior(300, 4))
    batch.fit(rows, labels[:120])
    np.testing.assert_allclose(online._weights, batch._weights, atol=1e-8)
    np.testing.assert_allclose(online._inverse, batch._inverse, atol=1e-8)


def test_forget_undoes_learn_exactly():
    features, labels = blobs()
    learner = QuickLearner(features, empty_prior(300, 4))
    for row in range(40):
        learner.learn(row, int(labels[row]))
    before = learner._weights.copy()
    for row in range(40, 80):
        learner.learn(row, int(labels[row]))
    for row in reversed(range(40, 80)):
        learner.forget(row, int(labels[row]))
    np.testing.assert_allclose(learner._weights, before, atol=1e-8)
    assert learner.count == 40


def test_learner_is_accurate_with_a_uniform_prior():
    features, labels = blobs()
    uniform = np.full((300, 4), 0.25, np.float32)
    learner = QuickLearner(features, uniform)
    for row in range(100):
        learner.learn(row, int(labels[row]))
    guesses = learner.guess(np.arange(100, 300))
    np.testing.assert_allclose(guesses.sum(axis=1), 1.0)
    assert (guesses.argmax(axis=1) == labels[100:]).mean() > 0.85


def test_correct_prior_is_kept_if_features_are_noise():
    _, labels = blobs()
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(300, 6)).astype(np.float32)
    prior = np.full((300, 4), 0.02, np.float32)
    prior[np.arange(300), labels] = 0.94
    learner = QuickLearner(noise, prior)
    for row in range(60):
        learner.learn(row, int(labels[row]))
    guesses = learner.guess(np.arange(60, 300))
    assert (guesses.argmax(axis=1) == labels[60:]).mean() == 1.0
    assert guesses.max(axis=1).mean() > 0.9


def test_new_class_is_learned_and_rows_without_prior_are_predicted():
    features, labels = blobs()
    prior = np.zeros((300, 3), np.float32)
    learner = QuickLearner(features, prior)
    learner.grow()
    for row in range(120):
        learner.learn(row, int(labels[row]))
    guesses = learner.guess(np.arange(120, 300))
    assert guesses.shape == (180, 4)
    assert (guesses.argmax(axis=1) == labels[120:]).mean() > 0.8


def test_learner_without_labels_returns_prior_and_projects_wide_features():
    rng = np.random.default_rng(0)
    prior = rng.dirichlet(np.ones(3), 20).astype(np.float32)
    learner = QuickLearner(rng.normal(size=(20, 900)).astype(np.float32), prior)
    np.testing.assert_allclose(learner.guess(np.arange(20)), prior, atol=1e-6)
    assert learner._mapped.shape[1] < 500


def test_forget_refuses_label_that_was_not_learned():
    features, _ = blobs(20)
    with pytest.raises(ValueError, match="not learned"):
        QuickLearner(features, empty_prior(20, 4)).forget(0, 1)


def test_margins_are_differences_of_the_two_highest_probabilities():
    np.testing.assert_allclose(margins(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])), [0.2, 0.7])
    assert margins(np.ones((2, 1))).tolist() == [1.0, 1.0]


def predictions(**changes) -> PoolPredictions:
    values = {
        "items": np.array([1, 4, 9]),
        "scores": np.array([0.1, 0.2, 0.3], np.float32),
        "probabilities": np.full((3, 2), 0.5, np.float32),
        "features": np.ones((3, 5), np.float32),
        "class_uids": ("a", "b"),
        "sampler_sha": "00",
        "round": 2,
    }
    return PoolPredictions(**{**values, **changes})


def test_saved_predictions_load_unchanged(tmp_path):
    path = tmp_path / "cache" / "outlook.npz"
    predictions().save(path)
    loaded = load_pool_predictions(path)
    assert loaded is not None
    assert (loaded.class_uids, loaded.sampler_sha, loaded.round) == (("a", "b"), "00", 2)
    np.testing.assert_array_equal(loaded.features, np.ones((3, 5)))


@pytest.mark.parametrize(
    "changes",
    [
        {"items": np.array([4, 1, 9])},
        {"scores": np.array([0.1], np.float32)},
        {"features": np.full((3, 5), np.nan, np.float32)},
        {"features": np.ones((2, 5), np.float32)},
        {"class_uids": ("a",)},
    ],
)
def test_inconsistent_predictions_are_not_loaded(tmp_path, changes):
    path = tmp_path / "outlook.npz"
    predictions(**changes).save(path)
    assert load_pool_predictions(path) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY"])
def test_damaged_or_missing_prediction_file_is_not_loaded(tmp_path, content):
    path = tmp_path / "outlook.npz"
    path.write_bytes(content)
    assert load_pool_predictions(path) is None
    assert load_pool_predictions(tmp_path / "none.npz") is None


def test_truncated_prediction_file_is_not_loaded(tmp_path):
    path = tmp_path / "outlook.npz"
    predictions().save(path)
    data = path.read_bytes()
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        assert load_pool_predictions(path) is None
