"""WAAL's critic: features of T to how much they look like the unlabeled pool's."""

import torch
from torch import Tensor, nn


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
        """Take mean and deviation from ``features`` ``(N, F)``, both pools together."""
        self.center.copy_(features.mean(0))
        self.scale.copy_(features.std(0, correction=0).clamp_min(1e-3))

    def standardized(self, features: Tensor) -> Tensor:
        """Return features of mean 0 and deviation 1, same shape."""
        return (features - self.center) / self.scale

    def value(self, standardized: Tensor) -> Tensor:
        """Return the critic's value in 0..1, ``(B,)``, for standardized features."""
        return torch.sigmoid(self.body(standardized).squeeze(1))

    def forward(self, features: Tensor) -> Tensor:
        """Return the critic's value in 0..1, ``(B,)``, for features ``(B, F)`` of T."""
        return self.value(self.standardized(features))
