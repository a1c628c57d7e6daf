"""The default dgaal on features: coverage first, then the boundary, and each class alike."""

import numpy as np
import pytest

from dgaal_cli.methods.dgaal import passage
from dgaal_cli.methods.dgaal.passage import COVERAGE, CRITIC, balanced, weigh
from dgaal_cli.methods.feature_rules import MAX_HERDING, PoolAnswers
from dgaal_cli.task_heads import scout as scouting


def pool(seed=0):
    """Return two clusters of 150 rows of length 1, a bridge of 20 between them, and the classes."""
    generator = np.random.default_rng(seed)
    share = np.concatenate([np.zeros(150), np.ones(150), np.linspace(0.3, 0.7, 20)])
    rows = np.outer(1 - share, np.eye(12)[0]) + np.outer(share, np.eye(12)[1])
    rows += 0.1 * generator.standard_normal(rows.shape)
    classes = (share > 0.5).astype(np.int64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), classes


def labels_of(classes, positions):
    labels = np.full(len(classes), -1)
    labels[positions] = classes[positions]
    return labels


def boundary_factor(positions):
    """Return how many times as much a row between the clusters counts as one in a cluster."""
    rows, classes = pool()
    weights = weigh(
        rows,
        PoolAnswers(
            ids=np.arange(len(rows)), labels=labels_of(classes, positions), probabilities=None
        ),
    )
    assert weights.min() > 0
    return weights[300:].mean() / weights[:300].mean()


FEW = np.array([0, 1, 150, 151])
MANY = np.concatenate([np.arange(60), np.arange(150, 210)])


def test_first_query_is_that_of_coverage():
    rows, ids, none = pool()[0], np.arange(320), np.array([], np.int64)
    plain = MAX_HERDING.choose(rows, ids, none, 10, None)
    assert COVERAGE.choose(rows, ids, none, 10, None).positions.tolist() == plain.positions.tolist()


def test_boundary_counts_more_as_labels_prove_the_model():
    assert 1 < boundary_factor(FEW) < 2
    assert boundary_factor(MANY) > 3


def test_control_without_competence_the_boundary_counts_the_same(monkeypatch):
    monkeypatch.setattr(scouting, "_competence", lambda *_arguments: 0.0)
    assert boundary_factor(MANY) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("rule", [COVERAGE, CRITIC], ids=["coverage", "critic"])
def test_weights_change_what_a_rule_picks(rule):
    rows, classes = pool()
    answers = PoolAnswers(
        ids=np.arange(len(rows)), labels=labels_of(classes, MANY), probabilities=None
    )
    own, plain = (rule.choose(rows, np.arange(320), MANY, 10, known) for known in (answers, None))
    assert own.positions.tolist() != plain.positions.tolist()


def test_rare_class_counts_as_much_as_a_frequent_one():
    probabilities = np.eye(2)[(np.arange(100) < 10).astype(int)]
    weights = balanced(probabilities)
    assert weights.mean() == pytest.approx(1)
    assert weights[:10].sum() == pytest.approx(weights[10:].sum())


def test_control_rule_without_weights_asks_fewer_rare_images(monkeypatch):
    generator = np.random.default_rng(3)
    classes = (np.arange(330) >= 300).astype(np.int64)
    rows = np.eye(12)[classes] + 0.3 * generator.standard_normal((330, 12))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labeled = np.array([0, 1, 2, 3, 4, 5, 300, 301])
    answers = PoolAnswers(
        ids=np.arange(len(rows)), labels=labels_of(classes, labeled), probabilities=None
    )

    def rare():
        return (COVERAGE.choose(rows, np.arange(330), labeled, 20, answers).positions >= 300).sum()

    own = rare()
    monkeypatch.setattr(passage, "balanced", lambda probabilities: np.ones(len(probabilities)))
    assert own > rare()
