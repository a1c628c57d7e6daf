"""Export wrappers: uint8 images in, scores out.

Exporters see these as plain modules. Inputs are uint8 ``(N, H, W, C)``; normalization is inside.
"""

import torch
from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.pixels import normalize

Scored = tuple[Tensor, Tensor, Tensor]
"""Score ``(N,)``, probabilities ``(N, K)``, features ``(N, F)``."""


class DeployedClassifier(nn.Module):
    """Task model: images to logits ``(N, K)`` and probabilities ``(N, K)``."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify uint8 images ``(N, H, W, C)``."""
        logits, _ = self.classifier(normalize(images))
        return logits, torch.softmax(logits, dim=1)


def closeness(logits: Tensor) -> Tensor:
    """How near the boundary: one minus the margin p1 - p2, shape ``(N,)``, for logits ``(N, K)``.

    Written as p2 plus all that is not p1, which stays exact where p1 rounds to one: confident
    images keep an order instead of tying.
    """
    descending = torch.sort(torch.softmax(logits, dim=1), dim=1, descending=True).values
    return descending[:, 1] + descending[:, 1:].sum(1)


def entropy_of(logits: Tensor) -> Tensor:
    """Entropy over the last axis, in nats."""
    log = torch.log_softmax(logits, dim=-1)
    return -(log.exp() * log).sum(-1)
