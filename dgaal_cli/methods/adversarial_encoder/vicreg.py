"""VICReg: train an encoder on images alone (Bardes, Ponce & LeCun 2022)."""

import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 8


class Expander(nn.Module):
    """Three linear layers (Bardes, Ponce & LeCun 2022, section 4.2; theirs are 8192 wide).

    Args:
        latent: Width Z of z; the layers are ``FACTOR`` times as wide.
    """

    def __init__(self, *, latent: int) -> None:
        super().__init__()
        width = FACTOR * latent
        self.body = nn.Sequential(
            nn.Linear(latent, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Expand z ``(B, Z)`` to ``(B, 8 Z)``."""
        return self.body(z)


INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
"""Weights of the paper's section 4.2; the loss is divided by the first, to be of order 1."""
EPSILON = 1e-4


def vicreg_loss(first: Tensor, second: Tensor) -> Tensor:
    """Return ``(25 s + 25 (v + v') + c + c') / 25`` of two views' embeddings ``(B, D)``.

    ``s`` is their mean squared difference, a value (eq. 5, which the paper's code divides by D);
    ``v`` the mean over dimensions of how far the deviation is below 1 (eq. 1 and 2), which
    prevents collapse; ``c`` the squared covariances of different dimensions over D
    (eq. 3 and 4), which prevents redundancy.
    """
    total = INVARIANCE * F.mse_loss(first, second)
    for view in (first, second):
        deviation = (view.var(0) + EPSILON).sqrt()
        centered = view - view.mean(0)
        covariance = centered.T @ centered / (len(view) - 1)
        apart = covariance.square().sum() - covariance.diagonal().square().sum()
        total = total + VARIANCE * F.relu(1.0 - deviation).mean()
        total = total + COVARIANCE * apart / view.shape[1]
    return total / INVARIANCE
