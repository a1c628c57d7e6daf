"""The scout learns from labels only, and says how far it can be trusted."""

import numpy as np
import pytest

from dgaal_cli.task_heads.scout import fit_scout, wilson_bound


def clusters(count, *, width=8, seed=0):
    """Return rows of length 1 near one direction per class, and their classes 0, 1, 2 in turn."""
    classes = np.arange(count) % 3
    rows = 4 * np.eye(width)[classes] + np.random.default_rng(seed).standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), classes


def known(classes, count):
    return np.where(np.arange(len(classes)) < count, classes, -1)


def test_classes_of_other_rows_are_predicted():
    rows, classes = clusters(300)
    probabilities = fit_scout(rows, known(classes, 30)).probabilities(rows)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == classes)[30:].mean() > 0.95


def test_only_classes_with_labels_have_probabilities():
    rows, classes = clusters(60)
    labels = np.where(classes == 1, -1, known(5 * classes, 30))
    assert fit_scout(rows, labels).probabilities(rows).shape == (60, 2)


def test_competence_rises_with_the_number_of_labels_and_stays_below_one():
    rows, classes = clusters(300)
    found = [fit_scout(rows, known(classes, count)).competence for count in (6, 12, 60, 300)]
    assert found == sorted(found)
    assert 0 < found[0] < 0.6
    assert 0.9 < found[-1] < 1


def test_random_labels_prove_no_competence():
    rows, _ = clusters(300)
    found = [
        fit_scout(rows, known(np.random.default_rng(seed).integers(0, 3, 300), 60)).competence
        for seed in range(5)
    ]
    assert np.mean(found) < 0.1


def test_images_of_a_patient_prove_no_competence_for_other_patients():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 5)
    labels = generator.integers(0, 2, 20)[groups]
    rows = 2 * np.eye(20)[groups] + 0.3 * generator.standard_normal((100, 20))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert fit_scout(rows, labels).competence > 0.7
    assert fit_scout(rows, labels, groups).competence < 0.2


def test_labels_that_none_can_be_held_out_of_prove_no_competence():
    rows, classes = clusters(30)
    assert fit_scout(rows, known(classes, 3)).competence == 0.0


@pytest.mark.parametrize(("right", "count", "bound"), [(10, 10, 0.787), (5, 10, 0.269), (0, 4, 0)])
def test_bound_is_that_of_wilsons_interval(right, count, bound):
    """Computed by hand from (p + z^2/2n - z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.645."""
    assert wilson_bound(right / count, count) == pytest.approx(bound, abs=1e-3)
