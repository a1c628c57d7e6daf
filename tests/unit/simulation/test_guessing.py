"""Key presses with predictions: hand-counted cases, and the online learner with a random T."""

import numpy as np
import pytest

from dgaal_cli.simulation.guessing import PAGE, keys_on_grid, measure_guesses
from dgaal_cli.training.classifier import Prediction


def certain(classes, count=3):
    """Return probabilities with equal confidence for every prediction."""
    return np.eye(count)[classes] * 0.8 + 0.2 / count


def keys(predicted, truth):
    shares = certain(np.asarray(predicted))
    return keys_on_grid(np.arange(len(truth)), np.asarray(truth), lambda rows: shares[rows])


def test_correct_page_takes_one_key_and_the_grid_two():
    assert keys([0] * PAGE, [0] * PAGE) == 2 + 1
    assert keys([0] * 2 * PAGE, [0] * 2 * PAGE) == 2 + 2


def test_few_images_take_one_key_each():
    assert keys([1] * 8, [0] * 8) == 8
    assert keys([0] * (PAGE + 8), [0] * (PAGE + 8)) == 2 + 1 + 8


def test_wrong_prediction_takes_cursor_moves_and_one_class_key():
    truth = [0] * PAGE
    assert keys([1, *truth[1:]], truth) == 2 + 1 + 1  # under the cursor
    assert keys([*truth[:2], 1, *truth[3:]], truth) == 2 + 1 + 2 + 1
    # first cell of line 2, then last cell of line 3: 1 down; then 1 down and 5 right
    assert keys([*truth[:6], 1, *truth[7:-1], 1], truth) == 2 + 1 + (1 + 1) + (1 + 5 + 1)


def test_images_are_sorted_by_confidence():
    shares = np.vstack([certain([0] * PAGE), np.full((4, 3), 1 / 3)])
    truth = np.array([0] * PAGE + [1] * 4)
    order = np.random.default_rng(0).permutation(len(truth))
    found = keys_on_grid(np.arange(len(truth)), truth[order], lambda rows: shares[order][rows])
    assert found == 2 + 1 + 4


def test_learner_improves_a_random_task_model():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 200)
    features = (3 * np.eye(3)[truth] + 0.1 * rng.normal(size=(200, 3))).astype(np.float32)
    prediction = Prediction(probabilities=rng.dirichlet(np.ones(3), 200), features=features)
    labels = np.full(200, -1)
    labels[:20] = truth[:20]
    found = measure_guesses(prediction, labels, list(range(20, 180)), truth)
    assert found.images == 160
    assert found.right < 90
    assert found.right_live > 140
    assert found.keys_live < 0.6 * found.keys


def test_learner_keeps_correct_predictions():
    truth = np.arange(60) % 3
    prediction = Prediction(probabilities=certain(truth), features=np.zeros((60, 2), np.float32))
    labels = np.where(np.arange(60) < 6, truth, -1)
    found = measure_guesses(prediction, labels, list(range(6, 60)), truth)
    assert (found.right, found.keys) == (54, 2 + 3)
    assert found.right_live == pytest.approx(54, abs=2)


def test_measure_guesses_is_none_without_queried_images():
    prediction = Prediction(probabilities=np.zeros((3, 2)), features=np.zeros((3, 2), np.float32))
    assert measure_guesses(prediction, np.full(3, -1), [], np.zeros(3, np.int64)) is None
