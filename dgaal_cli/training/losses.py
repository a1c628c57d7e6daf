"""Losses of the adversarial games, on logits."""

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
    """Loss of G1: D1 should call both pools labeled (non-saturating, as the paper states)."""
    return 0.5 * (F.softplus(-labeled).mean() + F.softplus(-unlabeled).mean())


def critic_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Negative Wasserstein estimate that D2 minimizes (Guo et al. 2021, eq. 6)."""
    return generated.mean() - real.mean()


def reconstruction_loss(images: Tensor, synthetic: Tensor) -> Tensor:
    """Mean squared error per value (Guo et al. 2021, eq. 5)."""
    return torch.mean((images - synthetic) ** 2)
