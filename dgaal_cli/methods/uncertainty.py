"""Ask where the task model hesitates: least confidence, margin, entropy."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods.by_score import ByScore
from dgaal_cli.methods.informativeness import boundary_closeness, entropy, remainder
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Deployed, Sampler, Scored, closeness, entropy_of
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData


class Margin(ByScore):
    """Smallest gap between the two likeliest classes first (Scheffer, Decomain & Wrobel 2001)."""

    name = "margin"
    reason = "near a class boundary"

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """One minus the margin."""
        return boundary_closeness(self.said(data, rows).probabilities)

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and a sampler that ranks by its margin."""
        modules = super().deploy(data)
        return [*modules, MarginSampler(self.classifier)] if modules else []


class LeastConfidence(ByScore):
    """Least probability of the likeliest class first (Lewis & Gale 1994)."""

    name = "least-confidence"
    reason = "no class is likely"

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """``1 - max_k p_k``, as the sum of all that is not the largest: exact near zero."""
        return remainder(self.said(data, rows).probabilities)

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and a sampler that ranks by its confidence."""
        return [*super().deploy(data), ConfidenceSampler(self.classifier)]


class Entropy(ByScore):
    """Most spread prediction first (Shannon 1948; Dagan & Engelson 1995 for queries)."""

    name = "entropy"
    reason = "the classes are evenly likely"

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """``-sum_k p_k log p_k`` in nats."""
        return entropy(self.said(data, rows).probabilities)

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and a sampler that ranks by its entropy."""
        return [*super().deploy(data), EntropySampler(self.classifier)]


class MarginSampler(Sampler):
    """The task model alone: images near a class boundary score high."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, probabilities ``(N, K)``, penultimate features h ``(N, F)``.
        """
        logits, features = self.classifier(normalize(images))
        return closeness(logits), torch.softmax(logits, dim=1), features


class ConfidenceSampler(Sampler):
    """One minus the probability of the likeliest class."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Scored:
        """Score images."""
        logits, features = self.classifier(normalize(images))
        probabilities = torch.softmax(logits, dim=1)
        descending = torch.sort(probabilities, dim=1, descending=True).values
        return descending[:, 1:].sum(1), probabilities, features


class EntropySampler(Sampler):
    """Entropy of the prediction, in nats."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Scored:
        """Score images."""
        logits, features = self.classifier(normalize(images))
        return entropy_of(logits), torch.softmax(logits, dim=1), features
