"""Oracle for synthetic images: a task model that is trained on all labels of the pool.

The true class of a synthetic image is unknown, so a model replaces the person. If it is not
confident, it answers "can't tell".
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import Config
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.fresh import fresh_method
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.runner import run_phases
from dgaal_cli.training.task import LearningTask

if TYPE_CHECKING:
    import torch

Targets = npt.NDArray[Any]

STEPS_FACTOR = 4
"""T on all labels is trained for this many times the steps of a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOracle:
    """The model and its confidence threshold."""

    network: Classifier
    task: LearningTask
    confidence: float
    device: "torch.device"

    def answer(self, pixels: npt.NDArray[np.uint8]) -> tuple[Targets, npt.NDArray[np.bool_]]:
        """Label uint8 images ``(M, S, S, C)``: targets ``(M, ...)``, and bool ``(M,)`` if sure."""
        prediction = predict(self.network, pixels, self.device)
        answers = self.task.decide(prediction)
        return answers, self.task.agreement(prediction, answers) >= self.confidence


def train_oracle(
    config: Config, data: RoundData, truth: Targets, *, confidence: float
) -> ModelOracle:
    """Train the model that answers, the same for every seed and method.

    If T is a linear SVM, a small network answers, because it is closer to a person.
    """
    own = config.classifier
    if own.architecture == "linear-svm":
        own = replace(own, architecture="vgg-small")
    config = replace(config, seed=0, classifier=own)
    network = train_on_all(config, data, truth, run_title="the model oracle")
    return ModelOracle(network=network, task=data.task, confidence=confidence, device=data.device)


def train_on_all(config: Config, data: RoundData, truth: Targets, *, run_title: str) -> Classifier:
    """Train T on every label of the pool, as in a first round but with more steps.

    It is trained for ``STEPS_FACTOR`` times the steps of a round and at least one pass over the
    pool. If T is trained for a number of passes over its labels, more labels give more steps.
    ``data`` is that of any round, ``truth`` (N, ...) are the true targets.
    """
    steps = max(STEPS_FACTOR * config.classifier.steps, len(truth) // config.classifier.batch)
    config = replace(config, method=REFERENCE, classifier=replace(config.classifier, steps=steps))
    is_labeled = np.ones(len(truth), dtype=bool)
    data = replace(data, number=0, targets=truth, is_labeled=is_labeled)
    _, size, _, channels = data.pixels.shape
    encoder = load_encoder(config.encoder, image_size=size, channels=channels)
    method = fresh_method(config, TaskShape(encoder=encoder, task=data.task), number=0)
    method.classifier.to(data.device)
    run_phases(method.learn(data), seed=config.seed, number=0, run_title=run_title)
    return method.classifier
