"""Training and asking the task model T: from scratch each round, the same rule for every method."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import ClassifierConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.networks.classifier import Classifier, Stages
from dgaal_cli.networks.linear import LinearMachine
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.linear import machine_phase
from dgaal_cli.training.modes import batches, evaluating
from dgaal_cli.training.optimizers import nesterov
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows
from dgaal_cli.training.precision import widen
from dgaal_cli.training.seeding import drawing_from

WARM_UP = 0.2
"""Part of the steps in which the rate rises to its peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What T says of N images, on the CPU."""

    probabilities: np.ndarray
    """float64 ``(N, K)``."""
    features: np.ndarray
    """float32 ``(N, F)``: penultimate features h."""


class Companion(Protocol):
    """A network that learns beside T from what T computes, as TA-VAAL's ranker does."""

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
    """SGD with Nesterov momentum on the labeled images, promoted synthesized ones included.

    Every method gets this very phase, so that a comparison of methods compares selections. A
    companion that detaches what it sees leaves T as it would have been without it. The linear
    machine is fitted at once instead.
    """
    if isinstance(network, LinearMachine):
        phase = machine_phase(network, *_training_set(data), penalty=config.penalty)
        own_ids = _training_ids(data)
        phase.last.note(own_ids, torch.arange(len(own_ids)))
        return phase
    return _descent_phase(network, config, data, companion)


def _descent_phase(
    network: Classifier, config: ClassifierConfig, data: RoundData, companion: Companion | None
) -> Phase:
    images, labels = (values.to(data.device) for values in _training_set(data))
    groups = network.parameter_groups()
    optimizer = nesterov(
        [
            {"params": g.parameters, "weight_decay": config.weight_decay * g.decay_factor}
            for g in groups
        ],
        lr=config.lr,
        momentum=0.9,
    )
    rows, own_ids, last = torch.arange(len(labels)), _training_ids(data), LastBatch()
    steps = classifier_steps(config, labeled=len(labels), pool=len(data.pixels))
    draws = any(isinstance(module, nn.Dropout) for module in network.modules())

    optimizers: dict[str, torch.optim.Optimizer] = {"classifier": optimizer}
    if companion is not None:
        optimizers["companion"] = companion.optimizer

    def step(number: int, generator: Generator) -> Losses:
        drawn = draw_rows(rows, config.batch, generator)
        last.note(own_ids, drawn)
        picked = to_device(drawn, data.device)
        batch = augment(images.index_select(0, picked), config, generator)
        with drawing_from(generator, data.device) if draws else nullcontext(), data.autocast():
            stages = _stages(network, normalize(batch), has_maps=companion is not None)
        stages = _wide(stages)
        logits = stages.logits
        if config.dropout:
            mask = dropout_mask(stages.features.shape, config.dropout, generator)
            logits = network.head(stages.features * to_device(mask, data.device))
        each = F.cross_entropy(logits, labels[picked], reduction="none")
        losses = {"cross_entropy": each.mean()}
        if companion is not None:
            losses["companion"] = companion.loss(stages, each.detach(), number)
        for used in optimizers.values():
            used.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        for used in optimizers.values():
            used.step()
        return losses

    def schedule(step: int) -> None:
        factor = config.lr * one_cycle(step, steps)
        for group, rule in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = factor * rule.lr_factor
        for group in companion.optimizer.param_groups if companion else []:
            group["lr"] = factor

    return Phase(
        name="classifier",
        title="learning the labels",
        steps=steps,
        epoch_steps=max(1, -(-len(labels) // config.batch)),
        batch_key="classifier.batch",
        networks={"classifier": network} | (companion.networks if companion else {}),
        optimizers=optimizers,
        step=step,
        last=last,
        schedule=schedule,
    )


def classifier_steps(config: ClassifierConfig, *, labeled: int, pool: int) -> int:
    """Return T's steps in a round: ``steps``, or as many as ``epochs`` passes take."""
    if not config.epochs:
        return config.steps
    unit = pool if config.epoch_unit == "pool" else labeled
    return max(1, round(config.epochs * unit / config.batch))


def _wide(stages: Stages) -> Stages:
    return Stages(
        maps=[widen(each) for each in stages.maps],
        logits=widen(stages.logits),
        features=widen(stages.features),
    )


def _stages(network: Classifier, images: Tensor, *, has_maps: bool) -> Stages:
    """Call the network as a module, hooks and all, unless its maps are asked for."""
    if has_maps:
        return network.stages(images)
    logits, features = network(images)
    return Stages(maps=[], logits=logits, features=features)


def dropout_mask(shape: torch.Size, rate: float, generator: Generator) -> Tensor:
    """Draw what penultimate features are multiplied by: 0 at ``rate``, else 1 / (1 - rate).

    The draw is the caller's generator's: a Dropout layer would read the global one.
    """
    return (torch.rand(shape, generator=generator) >= rate).float() / (1.0 - rate)


def one_cycle(step: int, steps: int) -> float:
    """Factor of the peak rate: linear warm-up, then a cosine to zero (Smith & Topin 2019)."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def augment(images: Tensor, config: ClassifierConfig, generator: Generator) -> Tensor:
    """Shift and mirror uint8 images ``(B, H, W, C)``, each by its own draw.

    Every row of a result is one run of bytes in the padded images or in their mirror images, so all
    are fetched by one selection; indexing value by value took eight times as long.
    """
    count, height, width, channels = images.shape
    margin = config.shift
    if not margin and not config.flip:
        return images
    down, right = torch.zeros(2, count, dtype=torch.int64)
    if margin:
        down, right = torch.randint(2 * margin + 1, (2, count), generator=generator)
        images = F.pad(images, [0, 0, margin, margin, margin, margin])
    which = torch.arange(count)
    if config.flip:
        is_flipped = torch.rand(count, generator=generator) < 0.5
        images = torch.cat([images, images.flip(2)])
        which = which + count * is_flipped
        right = torch.where(is_flipped, 2 * margin - right, right)
    row_size = (width + 2 * margin) * channels
    rows = (which * (height + 2 * margin) + down)[:, None] + torch.arange(height)
    starts = to_device((rows * row_size + channels * right[:, None]).flatten(), images.device)
    size = width * channels
    runs = images.flatten().as_strided((images.numel() - size + 1, size), (1, 1))
    return runs.index_select(0, starts).view(count, height, width, channels)


def predict(network: Classifier, pixels: np.ndarray, device: torch.device) -> Prediction:
    """Ask T about uint8 pixels ``(N, H, W, C)``; batch size and neighbors do not matter."""
    probabilities: list[np.ndarray] = []
    features: list[np.ndarray] = []
    with evaluating(network):
        for images in batches(pixels, device):
            logits, h = network(images)
            probabilities.append(torch.softmax(logits.double(), dim=1).cpu().numpy())
            features.append(h.cpu().numpy())
    if not probabilities:
        classes = network.head.out_features
        empty = np.zeros((0, network.feature_width), np.float32)
        return Prediction(probabilities=np.zeros((0, classes)), features=empty)
    return Prediction(
        probabilities=np.concatenate(probabilities), features=np.concatenate(features)
    )


def accuracy(network: Classifier, data: RoundData) -> tuple[float | None, str, int]:
    """Measure T on the test source, or on the held-out labels where there is none.

    Returns:
        Accuracy 0..1 or None, what it was measured on, and on how many images.
    """
    if data.test_pixels is not None and data.test_labels is not None and len(data.test_labels):
        pixels, labels, where = data.test_pixels, data.test_labels, "test images"
    else:
        rows = np.flatnonzero(data.is_held_out & (data.labels >= 0))
        if not len(rows):
            return None, "nothing", 0
        pixels, labels, where = data.pixels[rows], data.labels[rows], "held-out labels"
    guesses = predict(network, pixels, data.device).probabilities.argmax(1)
    return float((guesses == labels).mean()), where, len(labels)


def _training_set(data: RoundData) -> tuple[Tensor, Tensor]:
    """Return uint8 images ``(L, S, S, C)`` and labels ``(L,)``, real ones first."""
    rows = data.labeled_rows
    chosen = data.synthetic.is_labeled
    pixels = np.concatenate([data.pixels[rows], data.synthetic.pixels[chosen]])
    labels = np.concatenate([data.labels[rows], data.synthetic.labels[chosen]])
    return torch.from_numpy(pixels), torch.from_numpy(labels)


def _training_ids(data: RoundData) -> list[ItemId]:
    """Return what ``_training_set`` holds, in its order."""
    chosen = np.flatnonzero(data.synthetic.is_labeled)
    own = [data.item_ids[int(row)] for row in data.labeled_rows]
    return own + [data.synthetic.item_ids[int(i)] for i in chosen]
