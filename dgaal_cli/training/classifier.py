"""Training and prediction of the task model T: from scratch each round, equal for all methods."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import ClassifierConfig
from dgaal_cli.networks.classifier import Classifier, Stages
from dgaal_cli.networks.feature_model import FeatureModel
from dgaal_cli.networks.linear import LinearMachine
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.augmentation import augment
from dgaal_cli.training.data import Inputs, RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.distortion import distort
from dgaal_cli.training.feature_head import head_phase
from dgaal_cli.training.fixmatch import PoolImages, consistency_loss
from dgaal_cli.training.linear import machine_phase
from dgaal_cli.training.modes import batches, evaluating
from dgaal_cli.training.optimizers import nesterov
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows
from dgaal_cli.training.precision import widen
from dgaal_cli.training.seeding import drawing_from
from dgaal_cli.training.task import Prediction

WARM_UP = 0.2
"""Share of the steps in which the rate rises to its peak."""
UNLABELED_COST = 1.3
"""Cost of an unlabeled image (two forward passes, one backward), relative to a labeled one."""


class Companion(Protocol):
    """A network that is trained with T on T's features and losses, as TA-VAAL's ranker is."""

    networks: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer

    def loss(self, stages: Stages, losses: Tensor, step: int) -> Tensor:
        """Return its loss for T's stages and T's loss ``(B,)`` on each image of a step."""
        ...


def classifier_phase(
    network: Classifier,
    config: ClassifierConfig,
    data: RoundData,
    companion: Companion | None = None,
) -> Phase:
    """SGD with Nesterov momentum on the labeled images, promoted synthetic ones included.

    Every method uses this phase, so that a comparison of methods compares selections. With
    ``semi_supervised`` "fixmatch" T learns from the pool too and is a part of the method. A
    companion that detaches its inputs does not change T. The linear machine and the head on
    features are fitted in one step instead, on the labels alone.
    """
    if isinstance(network, FeatureModel):
        return head_phase(network, data)
    if isinstance(network, LinearMachine):
        phase = machine_phase(network, *_training_set(data), penalty=config.penalty)
        phase.last.note(data.training_ids, torch.arange(len(data.training_targets)))
        return phase
    return _Descent(network, config, data, companion).phase()


class _Descent:
    """T's training step and its state; images of ``pool`` are used without labels."""

    def __init__(
        self,
        network: Classifier,
        config: ClassifierConfig,
        data: RoundData,
        companion: Companion | None,
    ) -> None:
        self.network, self.config, self.data, self.companion = network, config, data, companion
        self.images, self.targets = (values.to(data.device) for values in _training_set(data))
        self.item_ids = data.training_ids
        self.pool = PoolImages.of(data, config) if config.semi_supervised == "fixmatch" else None
        self.groups = network.parameter_groups()
        rules = [
            {"params": g.parameters, "weight_decay": config.weight_decay * g.decay_factor}
            for g in self.groups
        ]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "classifier": nesterov(rules, lr=config.lr, momentum=0.9)
        }
        if companion is not None:
            self.optimizers["companion"] = companion.optimizer
        self.steps = classifier_steps(config, labeled=len(self.targets), pool=len(data.pixels))
        self.has_dropout = any(isinstance(module, nn.Dropout) for module in network.modules())
        self.last = LastBatch()

    def phase(self) -> Phase:
        """Return the phase."""
        pool, companion = self.pool, self.companion
        return Phase(
            name="classifier",
            title="learning the labels and the pool" if pool else "learning the labels",
            steps=self.steps,
            epoch_steps=max(1, -(-len(self.targets) // self.config.batch)),
            batch_key="classifier.batch",
            networks={"classifier": self.network} | (companion.networks if companion else {}),
            optimizers=self.optimizers,
            step=self.step,
            last=self.last,
            schedule=self.schedule,
            cost=1.0 + (UNLABELED_COST * self.config.unlabeled_ratio if pool else 0.0),
        )

    def step(self, number: int, generator: Generator) -> Losses:
        """Train on one labeled batch and, with FixMatch, one batch of the pool."""
        drawn = draw_rows(torch.arange(len(self.targets)), self.config.batch, generator)
        self.last.note(self.item_ids, drawn)
        picked = to_device(drawn, self.data.device)
        batch = normalize(augment(self.images.index_select(0, picked), self.config, generator))
        views = self.pool.views(self.config, generator) if self.pool else None
        weak = self._weak_outputs(views[0], generator) if views else None
        own = len(batch)
        if views:
            count = round(self.config.distorted_labels * own)
            distorted = distort(batch[:count], self.config.distortion, generator)
            batch = torch.cat([distorted, batch[count:], views[1]])
        stages = self._stages(batch, generator)
        each = self.data.task.losses(stages.outputs[:own], self.targets[picked])
        losses = {"cross_entropy": each.mean()}
        gauges: dict[str, Tensor] = {}
        if weak is not None:
            loss, gauges["pseudo_labeled"] = consistency_loss(
                self.data.task, weak, stages.outputs[own:], self.config.unlabeled_threshold
            )
            losses["consistency"] = self.config.unlabeled_weight * loss
        if self.companion is not None:
            labeled = stages.apply(lambda values: values[:own])
            losses["companion"] = self.companion.loss(labeled, each.detach(), number)
        for used in self.optimizers.values():
            used.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        for used in self.optimizers.values():
            used.step()
        return losses | gauges

    def schedule(self, step: int) -> None:
        """Set the learning rates of a step."""
        factor = self.config.lr * one_cycle(step, self.steps)
        for group, rule in zip(
            self.optimizers["classifier"].param_groups, self.groups, strict=True
        ):
            group["lr"] = factor * rule.lr_factor
        for group in self.companion.optimizer.param_groups if self.companion else []:
            group["lr"] = factor

    def _weak_outputs(self, images: Tensor, generator: Generator) -> Tensor:
        # A separate autocast block: a shared one would cache weights cast without gradients.
        with torch.no_grad(), self._drawing(generator), self.data.autocast():
            return widen(self.network(images)[0])

    def _stages(self, images: Tensor, generator: Generator) -> Stages:
        """Return T's stages in float32; without a companion T is called as a module."""
        with self._drawing(generator), self.data.autocast():
            if self.companion is not None:
                stages = self.network.stages(images)
            else:
                logits, features = self.network(images)
                stages = Stages(maps=[], outputs=logits, features=features)
        stages = stages.apply(widen)
        if not self.config.dropout:
            return stages
        mask = dropout_mask(stages.features.shape, self.config.dropout, generator)
        masked = self.network.head(stages.features * to_device(mask, self.data.device))
        return replace(stages, outputs=masked)

    def _drawing(self, generator: Generator) -> AbstractContextManager[None]:
        return drawing_from(generator, self.data.device) if self.has_dropout else nullcontext()


def classifier_steps(config: ClassifierConfig, *, labeled: int, pool: int) -> int:
    """Return T's steps in a round: ``steps``, or those of ``epochs`` passes.

    With FixMatch they are multiplied by ``unlabeled_steps``.
    """
    factor = config.unlabeled_steps if config.semi_supervised == "fixmatch" else 1.0
    if not config.epochs:
        return max(1, round(factor * config.steps))
    unit = pool if config.epoch_unit == "pool" else labeled
    return max(1, round(factor * config.epochs * unit / config.batch))


def dropout_mask(shape: torch.Size, rate: float, generator: Generator) -> Tensor:
    """Draw the factors of penultimate features: 0 at ``rate``, else 1 / (1 - rate).

    Uses ``generator``; a Dropout layer would read the global one.
    """
    return (torch.rand(shape, generator=generator) >= rate).float() / (1.0 - rate)


def one_cycle(step: int, steps: int) -> float:
    """Return the factor of the peak rate: linear warm-up, cosine to zero (Smith & Topin 2019)."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def predict(network: Classifier, inputs: Inputs, device: torch.device) -> Prediction:
    """Predict pixels or features of N images; an image's result does not depend on its batch."""
    probabilities: list[np.ndarray] = []
    features: list[np.ndarray] = []
    with evaluating(network):
        for images in batches(inputs, device):
            outputs, h = network(images)
            probabilities.append(network.head.probabilities(outputs.double()).cpu().numpy())
            features.append(h.cpu().numpy())
    return Prediction(
        probabilities=np.concatenate(probabilities), features=np.concatenate(features)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """T's predictions on the images that it is measured on."""

    predicted: np.ndarray
    """``(M, ...)`` targets."""
    targets: np.ndarray
    """``(M, ...)``."""
    where: str
    """``test images`` or ``held-out labels``."""


def measure(network: Classifier, data: RoundData) -> Measured | None:
    """Predict the test images, else the images with held-out labels; None without either."""
    tested, targets = data.test_inputs, data.test_targets
    if tested is not None and targets is not None and len(targets):
        inputs, where = tested, "test images"
    else:
        is_measured = data.is_held_out & data.is_labeled
        if data.is_audited is not None:  # it is a sample of other images
            is_measured &= ~data.is_audited
        rows = np.flatnonzero(is_measured)
        inputs, targets, where = data.inputs[rows], data.targets[rows], "held-out labels"
    if not len(targets):
        return None
    predicted = data.task.decide(predict(network, inputs, data.device))
    return Measured(predicted=predicted, targets=targets, where=where)


def accuracy(network: Classifier, data: RoundData) -> tuple[float | None, str, int]:
    """Measure T by its task's metric.

    Returns:
        The metric 0..1 or None, the name of the measured images, and their count.
    """
    found = measure(network, data)
    if found is None:
        return None, "nothing", 0
    value = data.task.measure(found.predicted, found.targets)
    return value, found.where, len(found.targets)


def _training_set(data: RoundData) -> tuple[Tensor, Tensor]:
    """Return inputs and targets ``(L, ...)`` of the labeled images, real images first."""
    return torch.from_numpy(data.training_inputs), torch.from_numpy(data.training_targets)
