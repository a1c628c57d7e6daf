"""WAAL's critic of T's features, and the sampler that WAAL ranks by and exports."""

import torch
from torch import Tensor, nn

from dgaal_cli.methods.task_model_only import ClassifierSampler
from dgaal_cli.networks.classifier import Classifier


class FeatureCritic(nn.Module):
    """One hidden layer on standardized features (Shui et al. 2020).

    Args:
        inputs: Width F of T's features.
        hidden: Width of the hidden layer; 50 as published.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, *, inputs: int, hidden: int = 50) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def standardize_on(self, features: Tensor) -> None:
        """Store mean and standard deviation of ``features`` ``(N, F)`` of both pools."""
        self.center.copy_(features.mean(0))
        self.scale.copy_(features.std(0, correction=0).clamp_min(1e-3))

    def standardized(self, features: Tensor) -> Tensor:
        """Return features of mean 0 and deviation 1, same shape."""
        return (features - self.center) / self.scale

    def value(self, standardized: Tensor) -> Tensor:
        """Return the critic's value in 0..1, ``(B,)``, for standardized features."""
        return torch.sigmoid(self.body(standardized).squeeze(1))

    def forward(self, features: Tensor) -> Tensor:
        """Return the critic's value in 0..1, ``(B,)``, for features ``(B, F)`` of T.

        It is high for features that look like the unlabeled pool's.
        """
        return self.value(self.standardized(features))


class UniformCriticSampler(ClassifierSampler):
    """WAAL's query rule: near-uniform predictions, and features like those of the unlabeled pool.

    The score is ``critic_weight g(h) - (|log p|_2 + |log p|_1) / 2``.

    Args:
        classifier: T.
        critic: g on T's features.
        critic_weight: Weight of g; 10 as published.
    """

    def __init__(
        self, classifier: Classifier, critic: FeatureCritic, *, critic_weight: float
    ) -> None:
        super().__init__(classifier)
        self.critic = critic
        self.critic_weight = critic_weight

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and T's penultimate features ``(B, F)``."""
        logits, features = self.classifier(images)
        return self.score(images, logits, features), features

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """The rule above."""
        log_p = torch.log_softmax(logits, dim=1)
        confidence = 0.5 * log_p.square().sum(1).sqrt() + 0.5 * log_p.abs().sum(1)
        return self.critic_weight * self.critic(features) - confidence
