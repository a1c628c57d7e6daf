"""Latent discriminator D1: z to the logit of "this image is labeled"."""

import torch
from torch import Tensor, nn


class LatentDiscriminator(nn.Module):
    """Four-layer perceptron on standardized features ``(B, Z)``; its output is a logit, no sigmoid.

    A saturated sigmoid would give ties among the highest scores. The standardization is part of the
    module, so that training, scoring and export use the same features.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, *, latent: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("scale", torch.ones(latent))
        self.body = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, 1),
        )

    def standardize_on(self, features: Tensor) -> None:
        """Set mean and deviation from ``features`` ``(N, Z)`` of both pools together."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(features.std(0, correction=0).clamp_min(1e-3))

    def forward(self, z: Tensor) -> Tensor:
        """Return logits of P(labeled), shape ``(B,)``, for z ``(B, Z)``."""
        return self.body((z - self.mean) / self.scale).squeeze(1)
