"""Export wrappers: uint8 images in, scores out.

Exporters use these as plain modules. Inputs are uint8 ``(N, H, W, C)``; normalization is inside.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.pixels import normalize
from exporters.manifest import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input of an export wrapper; images if ``width`` is 0."""

    name: str
    meaning: str
    width: int = 0
    """Width of float32 rows ``(N, width)``."""
    neutral: float = 0.0
    """A valid value for every element of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An output of an export wrapper; a forward pass determines its shape."""

    name: str
    meaning: str


IMAGES = Input(name="images", meaning="0..255, RGB")
SCORE = Output(name="score", meaning="higher = ask first")
P_UNLABELED = Output(
    name="p_unlabeled",
    meaning="the latent discriminators' probability that the image is not labeled yet",
)
LOGITS = Output(name="logits", meaning="one a class, before softmax")
PROBABILITIES = Output(name="probabilities", meaning="one a class, sums to 1")
FEATURES = Output(name="features", meaning="latents for similarity")
SYNTHESIZED = Output(name="synthesized", meaning="synthetic images, 0..255")


class Deployed(nn.Module):
    """Base of export wrappers; subclasses declare their inputs and outputs, in order."""

    role: Role
    inputs: tuple[Input, ...] = (IMAGES,)
    outputs: tuple[Output, ...]


class Sampler(Deployed):
    """Scores images; the score is the first output."""

    role: Role = "sampler"
    outputs: tuple[Output, ...] = (SCORE, PROBABILITIES, FEATURES)


class UnlabeledSampler(Sampler):
    """A sampler that also returns P(unlabeled)."""

    outputs: tuple[Output, ...] = (SCORE, P_UNLABELED, PROBABILITIES, FEATURES)


class Generator(Deployed):
    """Synthesizes images."""

    role: Role = "generator"
    outputs: tuple[Output, ...] = (SYNTHESIZED,)


Scored = tuple[Tensor, Tensor, Tensor]
"""Score ``(N,)``, probabilities ``(N, K)``, features ``(N, F)``."""


class DeployedClassifier(Deployed):
    """Task model: images to logits ``(N, K)`` and probabilities ``(N, K)``."""

    role: Role = "classifier"
    outputs: tuple[Output, ...] = (LOGITS, PROBABILITIES)

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify uint8 images ``(N, H, W, C)``."""
        logits, _ = self.classifier(normalize(images))
        return logits, torch.softmax(logits, dim=1)


def closeness(logits: Tensor) -> Tensor:
    """Return one minus the margin p1 - p2, shape ``(N,)``, for logits ``(N, K)``.

    Computed as p2 plus all probabilities except p1, which stays exact if p1 rounds to one:
    confident images keep an order instead of tying.
    """
    descending = torch.sort(torch.softmax(logits, dim=1), dim=1, descending=True).values
    return descending[:, 1] + descending[:, 1:].sum(1)


def entropy_of(logits: Tensor) -> Tensor:
    """Return the entropy over the last axis, in nats."""
    log = torch.log_softmax(logits, dim=-1)
    return -(log.exp() * log).sum(-1)
