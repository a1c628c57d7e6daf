"""The contract of ``training.task`` for every task; methods train and query on masks too."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_masks import MaskLearning, masked_data
from small_rounds import SHAPE, small_config, small_data, trained
from torch import Tensor

from dgaal_cli.methods.base import TaskShape
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.classifier import accuracy, predict

TASKS = {
    "classification": (ClassLearning(2), small_data),
    "masks": (MaskLearning(2), masked_data),
}
EVERY = pytest.mark.parametrize("name", TASKS)


def check_losses(task, targets: np.ndarray) -> None:
    """The loss of an image does not depend on other images of the batch."""
    head = task.head(5, (3,))
    outputs = head(torch.randn(len(targets), 5, generator=torch.Generator().manual_seed(0)))
    target_tensor = torch.from_numpy(targets)
    losses = task.losses(outputs, target_tensor)
    assert losses.shape == (len(targets),)
    assert (losses > 0).all()
    assert losses.requires_grad
    first = task.losses(outputs[:1], target_tensor[:1])
    assert torch.allclose(first, losses[:1])


@EVERY
def test_outputs_losses_and_predictions_are_consistent(name, tmp_path):
    task, make = TASKS[name]
    data = make()
    targets = data.training_targets
    check_losses(task, targets)
    method = trained(small_config("random"), data, tmp_path, shape=replace(SHAPE, task=task))
    prediction = predict(method.classifier, data.pixels, data.device)
    assert np.allclose(prediction.probabilities.sum(-1), 1)
    assert prediction.image_probabilities.shape == (len(data.pixels), task.outputs)
    predicted = task.decide(prediction)
    assert predicted.shape == data.targets.shape
    agreement = task.agreement(prediction, predicted)
    assert ((agreement >= 0) & (agreement <= 1)).all()
    assert (agreement >= task.agreement(prediction, 1 - predicted)).all()
    guessed, confidence = task.pseudo_targets(torch.from_numpy(np.log(prediction.probabilities)))
    assert (guessed.numpy() == predicted).all()
    assert np.allclose(confidence.numpy(), agreement)
    none = predict(method.classifier, data.pixels[:0], data.device)
    assert none.probabilities.shape[1:] == prediction.probabilities.shape[1:]


@EVERY
def test_metric_counts_and_groups_are_consistent(name):
    task, make = TASKS[name]
    data = make()
    targets = data.training_targets
    assert task.measure(targets, targets) == 1.0
    assert task.measure(1 - targets, targets) == 0.0
    assert task.is_equal(targets, targets).all()
    assert not task.is_equal(1 - targets, targets).any()
    assert task.class_counts(targets).sum() == targets.size
    assert task.confusion(targets, targets).tolist() == np.diag(task.class_counts(targets)).tolist()
    assert task.groups(targets).shape == (len(targets),)
    assert not task.is_equal(task.blank(len(targets)), targets).any()
    assert task.guess(data, 3).shape == (3, *targets.shape[1:])
    assert data.can_learn
    assert not data.without_labels().can_learn
    assert data.without_labels().task.gaps(data.without_labels())


@pytest.mark.parametrize("method_name", ["random", "margin", "entropy", "badge", "coreset"])
def test_methods_train_and_query_on_masks(method_name, tmp_path):
    """Two rounds in memory with a target that is not a class number."""
    data = masked_data(count=80, labeled=24)
    shape = TaskShape(encoder=SHAPE.encoder, task=data.task)
    config = small_config(method_name, classifier={"steps": 150, "lr": 0.1})
    method = trained(config, data, tmp_path / "0", shape=shape)
    first, _, _ = accuracy(method.classifier, data)
    ranking = method.rank(data, 12, 0)
    assert len(set(ranking.picks)) == 12
    assert np.isfinite(ranking.scores).all()
    assert ranking.is_random == (method_name == "random")
    truth = np.asarray(data.test_targets)
    data = replace(data, number=1)
    data.targets[ranking.picks], data.is_labeled[ranking.picks] = truth[ranking.picks], True
    method = trained(config, data, tmp_path / "1", shape=shape)
    second, _, _ = accuracy(method.classifier, data)
    assert first is not None
    assert second is not None
    assert second > 0.8  # chance is 0.5
    assert len(data.labeled_rows) == 36


class BatchLossTask(MaskLearning):
    """A broken task: every image has the mean loss of the batch."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        own = MaskLearning(self.outputs).losses(outputs, targets)
        return own.mean().expand(len(own))


def test_control_task_that_mixes_images_is_caught():
    with pytest.raises(AssertionError):
        check_losses(BatchLossTask(2), masked_data().training_targets)
