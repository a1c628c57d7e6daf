"""The logistic head: scikit-learn's solution."""

import numpy as np
import pytest

from dgaal_cli.task_heads import logistic
from dgaal_cli.task_heads.logistic import fit_logistic, in_own_span, softmax


def problem(count, width, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    own = np.arange(count) % classes
    rows = (
        generator.standard_normal((count, width)) + generator.standard_normal((classes, width))[own]
    )
    return rows, own


def reference(rows, own, c):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(rows, own)


@pytest.mark.parametrize(("count", "width"), [(200, 10), (20, 60)])
@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
def test_probabilities_are_those_of_scikit_learn(count, width, c):
    rows, own = problem(count, width)
    head = fit_logistic(rows, np.eye(4)[own], c)
    true = reference(rows, own, c)
    np.testing.assert_allclose(softmax(head.logits(rows)), true.predict_proba(rows), atol=1e-4)
    centered = head.weights - head.weights.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centered.T, true.coef_, atol=1e-4)


def test_warm_start_gives_the_same_head():
    rows, own = problem(60, 90)
    targets = np.eye(4)[own]
    cold = fit_logistic(rows, targets, 1.0)
    warm = fit_logistic(rows, targets, 1.0, start=fit_logistic(rows, targets, 0.1))
    np.testing.assert_allclose(warm.logits(rows), cold.logits(rows), atol=1e-4)


def test_soft_targets_give_calibrated_shares():
    rows = np.zeros((10, 3))
    head = fit_logistic(rows, np.tile([0.2, 0.3, 0.5], (10, 1)), 1.0)
    np.testing.assert_allclose(softmax(head.logits(rows))[0], [0.2, 0.3, 0.5], atol=1e-5)


def test_single_class_is_certain_to_be_finite():
    rows, _ = problem(5, 3)
    head = fit_logistic(rows, np.ones((5, 1)), 1.0)
    assert softmax(head.logits(rows)).tolist() == [[1.0]] * 5


def test_control_two_steps_are_not_enough(monkeypatch):
    monkeypatch.setattr(logistic, "_MAX_STEPS", 1)
    rows, own = problem(200, 10)
    head = fit_logistic(rows, np.eye(4)[own], 10.0)
    true = reference(rows, own, 10.0).predict_proba(rows)
    assert np.abs(softmax(head.logits(rows)) - true).max() > 1e-3


@pytest.mark.parametrize("count", [12, 40])
def test_heads_in_the_span_of_the_rows_give_the_same_probabilities(count):
    generator = np.random.default_rng(5)
    rows = generator.standard_normal((count, 25))
    targets = np.eye(3)[np.arange(count) % 3]
    targets[: count // 4] = 0.0  # held out
    short = in_own_span(rows)
    assert short.shape == (count, min(count, 25))
    own, other = (fit_logistic(part, targets, 1.0) for part in (short, rows))
    np.testing.assert_allclose(softmax(own.logits(short)), softmax(other.logits(rows)), atol=1e-6)
