"""The sampler that WAAL ranks by and exports."""

import torch
from torch import Tensor

from dgaal_cli.methods.waal.critic import FeatureCritic
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Sampler
from dgaal_cli.networks.pixels import normalize


class UniformCriticSampler(Sampler):
    """WAAL's query rule: near-uniform predictions, and features of the unlabeled pool's kind.

    The score is ``critic_weight g(h) - (|log p|_2 + |log p|_1) / 2``.

    Args:
        classifier: T.
        critic: g on T's features.
        critic_weight: Of g; 10 as published.
    """

    def __init__(
        self, classifier: Classifier, critic: FeatureCritic, *, critic_weight: float
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.critic = critic
        self.critic_weight = critic_weight

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and T's penultimate features ``(B, F)``."""
        logits, features = self.classifier(images)
        return self._score(logits, features), features

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, probabilities ``(N, K)``, features ``(N, F)``.
        """
        logits, features = self.classifier(normalize(images))
        return self._score(logits, features), torch.softmax(logits, dim=1), features

    def _score(self, logits: Tensor, features: Tensor) -> Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        sureness = 0.5 * log_p.square().sum(1).sqrt() + 0.5 * log_p.abs().sum(1)
        return self.critic_weight * self.critic(features) - sureness
