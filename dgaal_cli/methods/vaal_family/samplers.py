"""Samplers of the VAAL family, as they are exported: encoder, discriminator, and T beside them.

``judge`` is what a query ranks by and takes normalized images; ``forward`` takes stored pixels and
adds what T says. Decoders stay at home.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from dgaal_cli.methods.vaal_family.vae import Vae
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import UnlabeledSampler
from dgaal_cli.networks.pixels import normalize


class PoolSampler(Protocol):
    """What a query needs of a sampler."""

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and features ``(B, Z)`` of images ``(B, C, H, W)`` in [-1, 1]."""
        ...


class LatentSampler(UnlabeledSampler):
    """D on the encoder's mean: the surer it is of "unlabeled", the higher the score.

    The score is D's negated logit, which never saturates.

    Args:
        vae: Its encoder is taken, its decoder is not.
        discriminator: D, logits of P(labeled).
        classifier: T.
        is_squashed: Score by the sigmoid's output, as the released VAAL does, ties and all.
    """

    def __init__(
        self,
        vae: Vae,
        discriminator: nn.Module,
        classifier: Classifier,
        *,
        is_squashed: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(vae.body, nn.Flatten(), vae.mean)
        self.discriminator = discriminator
        self.classifier = classifier
        self.is_squashed = is_squashed

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and means ``(B, Z)``."""
        mean = self.encoder(images)
        unlabeled = -self.discriminator(self.seen(images, mean))
        return torch.sigmoid(unlabeled) if self.is_squashed else unlabeled, mean

    def seen(self, images: Tensor, mean: Tensor) -> Tensor:
        """Return what D judges of images ``(B, C, H, W)`` with means ``(B, Z)``."""
        return mean

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, P(unlabeled) ``(N,)``, probabilities ``(N, K)``, means ``(N, Z)``.
        """
        x = normalize(images)
        score, mean = self.judge(x)
        p_unlabeled = score if self.is_squashed else torch.sigmoid(score)
        logits, _ = self.classifier(x)
        return score, p_unlabeled, torch.softmax(logits, dim=1), mean
