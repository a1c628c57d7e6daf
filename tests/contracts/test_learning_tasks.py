"""Every task keeps what ``training.task`` says; a mask is learned and asked like a class."""

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
    """An image's loss is its own: other images of the batch do not change it."""
    head = task.head(5, (3,))
    outputs = head(torch.randn(len(targets), 5, generator=torch.Generator().manual_seed(0)))
    wanted = torch.from_numpy(targets)
    losses = task.losses(outputs, wanted)
    assert losses.shape == (len(targets),)
    assert (losses > 0).all()
    assert losses.requires_grad
    first = task.losses(outputs[:1], wanted[:1])
    assert torch.allclose(first, losses[:1])


@EVERY
def test_outputs_losses_and_predictions_fit_each_other(name, tmp_path):
    task, make = TASKS[name]
    data = make()
    targets = data.training_targets
    check_losses(task, targets)
    method = trained(small_config("random"), data, tmp_path, shape=replace(SHAPE, task=task))
    found = predict(method.classifier, data.pixels, data.device)
    assert np.allclose(found.probabilities.sum(-1), 1)
    assert found.image_probabilities.shape == (len(data.pixels), task.outputs)
    predicted = task.decide(found)
    assert predicted.shape == data.targets.shape
    sure = task.agreement(found, predicted)
    assert ((sure >= 0) & (sure <= 1)).all()
    assert (sure >= task.agreement(found, 1 - predicted)).all()
    guessed, confidence = task.pseudo_targets(torch.from_numpy(np.log(found.probabilities)))
    assert (guessed.numpy() == predicted).all()
    assert np.allclose(confidence.numpy(), sure)
    none = predict(method.classifier, data.pixels[:0], data.device)
    assert none.probabilities.shape[1:] == found.probabilities.shape[1:]


@EVERY
def test_metric_counts_and_groups(name):
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


@pytest.mark.parametrize("rule", ["random", "margin", "entropy", "badge", "coreset"])
def test_masks_are_learned_and_asked_like_classes(rule, tmp_path):
    """Two rounds in memory with a target that is no class number."""
    data = masked_data(count=80, labeled=24)
    shape = TaskShape(encoder=SHAPE.encoder, task=data.task)
    config = small_config(rule, classifier={"steps": 150, "lr": 0.1})
    method = trained(config, data, tmp_path / "0", shape=shape)
    first, _, _ = accuracy(method.classifier, data)
    ranking = method.rank(data, 12, 0)
    assert len(set(ranking.picks)) == 12
    assert np.isfinite(ranking.scores).all()
    assert ranking.is_random == (rule == "random")
    truth = np.asarray(data.test_targets)
    data = replace(data, number=1)
    data.targets[ranking.picks], data.is_labeled[ranking.picks] = truth[ranking.picks], True
    method = trained(config, data, tmp_path / "1", shape=shape)
    second, _, _ = accuracy(method.classifier, data)
    assert first is not None
    assert second is not None
    assert second > 0.8  # chance is 0.5
    assert len(data.labeled_rows) == 36


class Averaging(MaskLearning):
    """A broken task: every image has the batch's loss."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        own = MaskLearning(self.outputs).losses(outputs, targets)
        return own.mean().expand(len(own))


def test_a_task_that_mixes_images_is_caught():
    with pytest.raises(AssertionError):
        check_losses(Averaging(2), masked_data().training_targets)
