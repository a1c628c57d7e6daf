"""Answers for synthesized images: a task model that learned every label of the pool.

Nobody knows the true class of an image that a generator drew. A model stands in for a person; where
it is not sure it "cannot tell", as a person would of an image that shows nothing.
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
"""T on all labels gets this many times the steps of a round: there is more to learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOracle:
    """The model, and how sure it must be."""

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

    A person names an image better than a line between pixels does: where T is a linear machine, a
    small network answers.
    """
    own = config.classifier
    if own.architecture == "linear-svm":
        own = replace(own, architecture="vgg-small")
    network = train_on_all(
        replace(config, seed=0, classifier=own), data, truth, who="the model oracle"
    )
    return ModelOracle(network=network, task=data.task, confidence=confidence, device=data.device)


def train_on_all(config: Config, data: RoundData, truth: Targets, *, who: str) -> Classifier:
    """Train T on every label of the pool, by the rule of a round and with more steps.

    It gets ``STEPS_FACTOR`` times the steps of a round, and a pass over the pool at least; where T
    learns for a number of passes over its labels, it has more steps by itself.

    Args:
        config: Of the simulation.
        data: Any round of it.
        truth: (N, ...).
        who: For messages.
    """
    steps = max(STEPS_FACTOR * config.classifier.steps, len(truth) // config.classifier.batch)
    config = replace(config, method=REFERENCE, classifier=replace(config.classifier, steps=steps))
    encoder = load_encoder(
        config.encoder.source, image_size=data.pixels.shape[1], channels=data.pixels.shape[3]
    )
    shape = TaskShape(encoder=encoder, task=data.task)
    everything = replace(data, targets=truth, is_labeled=np.ones(len(truth), dtype=bool))
    method = fresh_method(config, shape, number=data.number)
    method.classifier.to(data.device)
    run_phases(method.learn(everything), seed=config.seed, number=data.number, who=who)
    return method.classifier
