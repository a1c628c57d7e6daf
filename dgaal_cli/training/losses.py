"""Losses of the adversarial games; probabilities never appear, only logits."""

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """Binary cross-entropy of D1, both pools weighted equally.

    Guo et al. 2021, eq. 4 and 9: labeled is 1, unlabeled 0.

    Args:
        labeled: ``(L,)`` logits of labeled images.
        unlabeled: ``(U,)`` logits of unlabeled images.
    """
    return 0.5 * (F.softplus(-labeled).mean() + F.softplus(unlabeled).mean())


def encoder_game_loss(labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """What G1 wants of D1: both pools called labeled (non-saturating, as the paper's text says)."""
    return 0.5 * (F.softplus(-labeled).mean() + F.softplus(-unlabeled).mean())


def critic_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Negative Wasserstein estimate that D2 minimizes (Guo et al. 2021, eq. 6)."""
    return generated.mean() - real.mean()


def reconstruction_loss(images: Tensor, redrawn: Tensor) -> Tensor:
    """Mean squared error per value (Guo et al. 2021, eq. 5)."""
    return torch.mean((images - redrawn) ** 2)
