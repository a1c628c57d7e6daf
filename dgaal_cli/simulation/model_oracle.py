"""Answers for synthesized images: a task model that learned every label of the pool.

Nobody knows the true class of an image that a generator drew. A model stands in for a person; where
it is not sure it "cannot tell", as a person would of an image that shows nothing.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.fresh import fresh_method
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.simulation.plan import REFERENCE
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.runner import run_phases

if TYPE_CHECKING:
    import torch

STEPS_FACTOR = 4
"""T on all labels gets this many times the steps of a round: there is more to learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOracle:
    """The model, and how sure it must be."""

    network: Classifier
    confidence: float
    device: "torch.device"

    def answer(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Name the class of uint8 images ``(M, S, S, C)``; -1 where it cannot tell."""
        probabilities = predict(self.network, pixels, self.device).probabilities
        answers = probabilities.argmax(1).astype(np.int64)
        answers[probabilities.max(1, initial=0.0) < self.confidence] = -1
        return answers


def train_oracle(
    config: Config, data: RoundData, truth: npt.NDArray[np.int64], *, confidence: float
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
    return ModelOracle(network=network, confidence=confidence, device=data.device)


def train_on_all(
    config: Config, data: RoundData, truth: npt.NDArray[np.int64], *, who: str
) -> Classifier:
    """Train T on every label of the pool, by the rule of a round and with more steps.

    It gets ``STEPS_FACTOR`` times the steps of a round, and a pass over the pool at least; where T
    learns for a number of passes over its labels, it has more steps by itself.

    Args:
        config: Of the simulation.
        data: Any round of it.
        truth: int64 (N,).
        who: For messages.
    """
    steps = max(STEPS_FACTOR * config.classifier.steps, len(truth) // config.classifier.batch)
    config = replace(config, method=REFERENCE, classifier=replace(config.classifier, steps=steps))
    shape = TaskShape(
        image_size=data.pixels.shape[1],
        channels=data.pixels.shape[3],
        classes=len(data.class_names),
    )
    everything = replace(data, labels=truth)
    method = fresh_method(config, shape, number=data.number)
    method.classifier.to(data.device)
    run_phases(method.learn(everything), seed=config.seed, number=data.number, who=who)
    return method.classifier
