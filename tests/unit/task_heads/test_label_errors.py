"""Labels that contradict a model of the other labels."""

import numpy as np
import pytest

from dgaal_cli.task_heads.fit import fit
from dgaal_cli.task_heads.label_errors import confident_labels


def test_a_confidently_predicted_other_class_makes_a_label_suspect():
    predicted = np.array(
        [
            [0.9, 0.1, 0.0],
            [0.8, 0.2, 0.0],
            [0.1, 0.9, 0.0],
            [0.2, 0.8, 0.0],
            [0.05, 0.95, 0.0],  # the label says 0
            [0.45, 0.55, 0.0],  # 1 is below its threshold of 0.85
        ]
    )
    found = confident_labels(predicted, np.array([0, 0, 1, 1, 0, 0]))
    assert found.is_suspect.tolist() == [False] * 4 + [True, False]
    assert found.suggested.tolist() == [0, 0, 1, 1, 1, 0]
    assert found.quality.tolist() == [0.9, 0.8, 0.9, 0.8, 0.05, 0.45]


def test_the_least_probable_label_comes_first():
    predicted = np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.1, 0.9], [0.9, 0.1]])
    found = confident_labels(predicted, np.array([0, 1, 1, 0, 0, 0]))
    assert found.worst_first().tolist() == [4, 3]


def test_a_class_without_labels_is_never_suggested():
    predicted = np.array([[0.2, 0.1, 0.7], [0.3, 0.6, 0.1]])
    found = confident_labels(predicted, np.array([0, 1]))
    assert not found.is_suspect.any()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_errors_are_found_by_held_out_predictions(seed):
    generator = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2], 40)
    centers = 4.0 * np.eye(3, 16)
    features = (centers[truth] + generator.normal(size=(120, 16))).astype(np.float32)
    labels = truth.copy()
    wrong = generator.choice(120, 12, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 3
    held = fit(features, labels, 3).held_out
    assert held is not None
    found = confident_labels(held.predicted, labels[held.positions])
    suspects = held.positions[found.worst_first()]
    found_wrong = set(suspects.tolist()) & set(wrong.tolist())
    assert len(found_wrong) >= 7
    assert len(suspects) <= len(found_wrong) + 2
