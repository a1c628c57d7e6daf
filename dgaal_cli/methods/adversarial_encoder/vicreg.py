"""VICReg: train an encoder on images alone (Bardes, Ponce & LeCun 2022)."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.training.distortion import distort
from dgaal_cli.training.phase import Losses
from dgaal_cli.training.precision import Autocast, widen

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


class TwoViews:
    """Train G1 and the expander to give two distorted views of an image the same embedding."""

    def __init__(self, encoder: Encoder, expander: Expander) -> None:
        self.encoder = encoder
        self.expander = expander

    def step(
        self,
        images: Tensor,
        *,
        optimizer: torch.optim.Optimizer,
        generator: Generator,
        autocast: Autocast,
    ) -> Losses:
        """Take a step on images ``(B, C, H, W)``; both views share one batch.

        Views keep their brightness: D1 could not detect missing dark images in latents that ignore
        it.
        """
        views = torch.cat([distort(images, 1.0, generator, light=0.0) for _ in range(2)])
        with autocast():
            _, z = self.encoder(views)
        first, second = self.expander(widen(z)).chunk(2)
        loss = vicreg_loss(first, second)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"vicreg": loss}


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
