"""The task model on features: graph, head or both, as held-out labels say."""

import dataclasses

import numpy as np
import pytest

from dgaal_cli.task_heads import fit as fitting
from dgaal_cli.task_heads.calibration import (
    expected_calibration_error,
    fit_temperature,
    sharpened,
)
from dgaal_cli.task_heads.distill import distill
from dgaal_cli.task_heads.fit import fit
from dgaal_cli.task_heads.folds import GraphKind, head_folds, labels_of, spread_folds
from dgaal_cli.task_heads.graph import build_graph
from dgaal_cli.task_heads.parts import GraphPart, HeadPart


def blobs(classes=3, size=60, gap=4.0, seed=0):
    """Return features in one blob a class, and the class of each."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(classes), size)
    centers = gap * generator.standard_normal((classes, 10))
    return centers[truth] + generator.standard_normal((classes * size, 10)), truth


def halves(count=400, seed=0):
    """Return a cloud without clusters that a plane divides: neighbors say less than a head."""
    rows = np.random.default_rng(seed).standard_normal((count, 40))
    return rows, (rows[:, :8].sum(axis=1) > 0).astype(int)


def some_labels(truth, each):
    """Return labels of the first images of each class."""
    labels = np.full(len(truth), -1)
    for own in np.unique(truth):
        labels[np.flatnonzero(truth == own)[:each]] = own
    return labels


def kinds(model):
    return {type(part) for part in model.parts}


def test_one_label_a_class_is_spread_over_the_graph():
    rows, truth = blobs()
    model = fit(rows, some_labels(truth, 1), 3)
    assert kinds(model) == {GraphPart}
    assert model.held_out is None
    assert "none can be held out" in model.note
    assert (model.pool_probabilities().argmax(axis=1) == truth).mean() > 0.95


def test_many_labels_of_a_linear_problem_choose_the_head():
    rows, truth = halves()
    labels = np.where(np.arange(400) < 200, truth, -1)
    model = fit(rows, labels, 2)
    assert HeadPart in kinds(model)
    assert model.held_out.accuracy > 0.9
    graph = GraphPart(model.graph, *spread_of(model.graph, labels, 2), 1.0)
    rest = labels < 0
    ours = (model.pool_probabilities().argmax(axis=1) == truth)[rest].mean()
    assert ours > (graph.of_pool(rows).argmax(axis=1) == truth)[rest].mean() + 0.03


def spread_of(graph, labels, count):
    kind = GraphKind(12, 0.9)
    return kind, spread_folds(graph, kind, labels_of(labels, count))[0]


def test_control_head_that_guesses_is_not_chosen(monkeypatch):
    def guessed(rows, kind, labels, starts):
        predicted = head_folds(rows, kind, labels, starts)
        return predicted[np.random.default_rng(0).permutation(len(predicted))]

    monkeypatch.setattr(fitting, "head_folds", guessed)
    rows, truth = halves()
    model = fit(rows, np.where(np.arange(400) < 200, truth, -1), 2)
    assert kinds(model) == {GraphPart}


@pytest.mark.parametrize("each", [1, 20])
@pytest.mark.parametrize(("head", "part"), [("graph", GraphPart), ("linear", HeadPart)])
def test_the_head_that_is_asked_for_is_used(head, part, each):
    rows, truth = blobs()
    model = fit(rows, some_labels(truth, each), 3, head=head)
    assert kinds(model) == {part}
    assert (model.pool_probabilities().argmax(axis=1) == truth).mean() > 0.9
    assert ("the neighbor graph" in model.note) == (head == "graph")
    assert (model.held_out is None) == (each == 1)


@pytest.mark.parametrize("each", [1, 2, 20])
def test_probabilities_are_a_distribution_over_all_classes(each):
    rows, truth = blobs()
    model = fit(rows.astype(np.float16), some_labels(truth, each), 5)
    for probabilities in (model.pool_probabilities(), model.probabilities(rows[:7])):
        assert probabilities.shape[1] == 5
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert probabilities[:, 3:].max() < 0.2


def test_images_that_no_label_reaches_have_equal_probabilities():
    rows, truth = blobs(classes=4, gap=40.0)
    model = fit(rows, some_labels(truth % 3, 1), 3)
    np.testing.assert_allclose(model.pool_probabilities()[truth == 3], 1 / 3)


def test_same_labels_give_the_same_model():
    rows, truth = blobs()
    labels, graph = some_labels(truth, 8), build_graph(rows)
    first, second = fit(rows, labels, 3, graph=graph), fit(rows, labels, 3, graph=graph)
    assert (first.pool_probabilities() == second.pool_probabilities()).all()
    assert first.note == second.note


def test_a_rare_class_weighs_as_much_as_a_frequent_one():
    labels = labels_of(np.array([0] * 30 + [1] * 3 + [-1] * 5), 3)
    np.testing.assert_allclose(labels.targets().sum(axis=0), [16.5, 16.5, 0])


def test_folds_hold_out_each_label_once_but_the_only_one_of_a_class():
    labels = labels_of(np.array([0] * 7 + [1] * 2 + [2]), 3)
    assert labels.folds[-1] == -1
    assert len(labels.held_out) == 9
    assert len(set(labels.folds[7:9].tolist())) == 2


def test_labels_of_a_group_are_held_out_together():
    generator = np.random.default_rng(0)
    for _ in range(30):
        truth, groups = generator.integers(-1, 4, 120), generator.integers(0, 25, 120)
        known = labels_of(truth, 4, groups)
        for group in np.unique(groups[known.positions]):
            assert len(set(known.folds[groups[known.positions] == group].tolist())) == 1
        assert len(known.held_out)
        for fold in np.unique(known.folds[known.held_out]):
            assert set(known.classes[known.folds != fold].tolist()) == {0, 1, 2, 3}


def test_groups_of_one_image_have_the_folds_of_images_without_groups():
    truth = np.random.default_rng(0).integers(-1, 4, 120)
    groups = np.random.default_rng(1).permutation(120)
    np.testing.assert_array_equal(labels_of(truth, 4, groups).folds, labels_of(truth, 4).folds)


def test_groups_are_spread_evenly_over_the_folds_of_each_class():
    truth, groups = np.arange(300) % 3, np.arange(300) // 6
    known = labels_of(truth, 3, groups)
    for own in range(3):
        np.testing.assert_array_equal(np.bincount(known.folds[known.classes == own]), [20] * 5)


def test_a_group_with_all_labels_of_a_class_is_never_held_out():
    known = labels_of(np.array([0, 0, 1, 1, 0, 1, 0, 1]), 2, np.array([0, 0, 1, 1, 0, 1, 0, 2]))
    assert (known.folds[known.classes == 0] == -1).all()
    assert len(set(known.folds[known.classes == 1].tolist())) == 2
    assert not known.has_folds


def patients(side):
    """Return features whose label a model knows from the patient only, labels and patients."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    truth = generator.integers(0, 2, 60)[groups]
    centers = 4 * generator.standard_normal((60, side))
    return centers[groups] + generator.standard_normal((300, side)), truth, groups


@pytest.mark.parametrize("head", ["graph", "linear", "auto"])
def test_accuracy_on_held_out_labels_is_that_of_new_groups(head):
    rows, truth, groups = patients(16)
    alone = fit(rows, truth, 2, head=head).held_out
    together = fit(rows, truth, 2, groups=groups, head=head).held_out
    assert alone.count == together.count == 300
    assert alone.accuracy > together.accuracy + 0.15
    assert together.accuracy < 0.65


def test_held_out_labels_do_not_see_themselves():
    rows, truth = blobs()
    labels = np.where(np.arange(180) % 3 == 0, truth, -1)
    known, kind = labels_of(labels, 3), GraphKind(12, 0.9)
    graph = build_graph(rows)
    held = spread_folds(graph, kind, known)[1]
    position = int(known.held_out[0])
    fold = known.folds[position]
    without = labels.copy()
    without[known.positions[known.folds == fold]] = -1
    alone = spread_folds(graph, kind, labels_of(without, 3))[0].probabilities()
    np.testing.assert_allclose(held[0], alone[known.positions[position]], atol=1e-6)


def test_no_label_is_an_error():
    with pytest.raises(ValueError, match="at least one label"):
        fit(blobs()[0], np.full(180, -1), 3)


def test_temperature_repairs_overconfidence():
    generator = np.random.default_rng(0)
    true = generator.dirichlet(np.ones(3), 3000)
    labels = (true.cumsum(axis=1) > generator.random((3000, 1))).argmax(axis=1)
    claimed = sharpened(true, 0.25)
    temperature = fit_temperature(claimed, labels, np.full(3000, 1 / 3000))
    assert 3.5 < temperature < 4.5
    before = expected_calibration_error(claimed, labels)
    assert expected_calibration_error(sharpened(claimed, temperature), labels) < 0.2 * before


def test_calibration_error_is_the_mean_gap():
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.15, 0.85]] * 4)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.15)


def test_distilled_head_repeats_the_model():
    rows, truth = blobs()
    head = distill(fit(rows, some_labels(truth, 1), 3))
    assert head.compared == 36
    assert head.agreement > 0.95


def test_control_distilled_head_cannot_repeat_guesses(monkeypatch):
    rows, truth = blobs()
    model = fit(rows, some_labels(truth, 1), 3)
    guesses = np.random.default_rng(0).dirichlet(np.ones(3), len(rows))
    monkeypatch.setattr(type(model), "pool_probabilities", lambda _: guesses)
    assert distill(dataclasses.replace(model)).agreement < 0.7
