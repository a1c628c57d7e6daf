"""The linear SVM as a task model: decision values of libsvm for any number of classes."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from small_rounds import build, runner, small_config, small_data

from dgaal_cli.training.classifier import accuracy, predict
from dgaal_cli.training.linear import NEVER, fit_hyperplanes


def three_blobs(seed=0, count=90):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    means = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return means[labels] + rng.normal(0, 0.7, (count, 2)), labels


def test_hyperplane_of_two_classes_equals_libsvm():
    x, y = three_blobs()
    x, y = x[y < 2], y[y < 2]
    weights, biases = fit_hyperplanes(x, y, 2, penalty=1.0)
    f = SVC(kernel="linear", C=1.0).fit(x, y).decision_function(x)
    values = x @ weights.T + biases
    assert values[:, 1] - values[:, 0] == pytest.approx(f, abs=1e-2)
    assert weights[0] == pytest.approx(-weights[1])


def test_hyperplanes_of_three_classes_are_one_versus_rest():
    x, y = three_blobs()
    weights, biases = fit_hyperplanes(x, y, 3, penalty=1.0)
    for k in range(3):
        f = SVC(kernel="linear", C=1.0).fit(x, y == k).decision_function(x)
        assert x @ weights[k] + biases[k] == pytest.approx(f, abs=1e-2)
    assert ((x @ weights.T + biases).argmax(1) == y).mean() > 0.95


def test_class_without_labels_is_never_predicted():
    x, y = three_blobs()
    weights, biases = fit_hyperplanes(x[y != 1], y[y != 1], 3, penalty=1.0)
    assert biases[1] == NEVER
    assert set((x @ weights.T + biases).argmax(1)) == {0, 2}


def test_hyperplanes_do_not_depend_on_the_order_of_labels():
    x, y = three_blobs()
    order = np.random.default_rng(3).permutation(len(x))
    one, other = (
        fit_hyperplanes(x, y, 3, penalty=1.0),
        fit_hyperplanes(x[order], y[order], 3, penalty=1.0),
    )
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_penalty_is_the_parameter_c():
    x, y = three_blobs()
    soft, _ = fit_hyperplanes(x[y < 2], y[y < 2], 2, penalty=0.01)
    hard, _ = fit_hyperplanes(x[y < 2], y[y < 2], 2, penalty=10.0)
    assert np.linalg.norm(soft) < np.linalg.norm(hard)


def test_methods_can_use_the_linear_svm_as_task_model(tmp_path):
    data = small_data()
    method = build(small_config("margin", classifier={"architecture": "linear-svm"}))
    assert torch.count_nonzero(method.classifier.head.weight) == 0
    phases = method.learn(data)
    assert [(p.name, p.steps) for p in phases] == [("classifier", 1)]
    runner(method, phases, tmp_path).run(phases)
    assert accuracy(method.classifier, data)[0] > 0.95
    rows = data.labeled_rows
    x = data.pixels[rows].transpose(0, 3, 1, 2).reshape(len(rows), -1) / 127.5 - 1.0
    f = SVC(kernel="linear", C=1.0).fit(x, data.targets[rows]).decision_function(x)
    probabilities = predict(method.classifier, data.pixels[rows], data.device).probabilities
    assert np.log(probabilities[:, 1] / probabilities[:, 0]) == pytest.approx(f, abs=1e-2)
    assert len(method.rank(data, 5, 0).picks) == 5
