"""Exported samplers of the VAAL family: encoder, discriminator and T.

``judge`` takes normalized images and returns the scores that a query ranks by; ``forward`` takes
uint8 pixels and adds T's predictions. Decoders are not exported.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from dgaal_cli.methods.vaal_family.vae import Vae
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import UnlabeledSampler
from dgaal_cli.networks.pixels import normalize


class PoolSampler(Protocol):
    """The part of a sampler that a query needs."""

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and features ``(B, Z)`` of images ``(B, C, H, W)`` in [-1, 1]."""
        ...


class LatentSampler(UnlabeledSampler):
    """D on the encoder's mean: the score is higher if D is more certain of "unlabeled".

    The score is D's negated logit, which never saturates.

    Args:
        vae: Only its encoder is used.
        discriminator: D, logits of P(labeled).
        is_squashed: Score by the sigmoid's output, as the released VAAL does; scores may then tie.
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
        """Return D's input for images ``(B, C, H, W)`` with means ``(B, Z)``."""
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
