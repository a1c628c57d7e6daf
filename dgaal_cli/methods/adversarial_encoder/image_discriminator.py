"""Image discriminator D2: a Wasserstein critic, kept 1-Lipschitz by spectral normalization."""

import math

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class ImageDiscriminator(nn.Module):
    """D2 of DGAAL (Guo et al. 2021, eq. 6 and 7): pairs of spectrally normalized convolutions.

    The paper shows an output in [0, 1], which contradicts its Wasserstein game; like its equations,
    this critic ends in a linear layer. Spectral normalization is Miyato et al. 2018.

    Args:
        image_size: Side in pixels, a power of two of at least 8.
        width: Channels of the first pair.
    """

    called_parts = ()
    """Nothing to compile: torch's spectral normalization creates classes for each instance, which
    would be compiled again in every round."""

    def __init__(self, *, channels: int, image_size: int, width: int) -> None:
        super().__init__()
        pairs = max(2, round(math.log2(image_size / 4)) + 1)
        layers: list[nn.Module] = []
        before = channels
        for depth in range(pairs):
            after = width * min(2**depth, 8)
            is_last = depth == pairs - 1
            layers += [
                spectral_norm(nn.Conv2d(before, after, 3, 1, padding=1)),
                nn.LeakyReLU(0.1),
                spectral_norm(nn.Conv2d(after, after, 3, 1, padding=1))
                if is_last
                else spectral_norm(nn.Conv2d(after, after, 4, 2, padding=1)),
                nn.LeakyReLU(0.1),
            ]
            before = after
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = spectral_norm(nn.Linear(before, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the critic's value ``(B,)`` for images ``(B, C, H, W)`` in [-1, 1]."""
        return self.verdict(self.body(images))

    def verdict(self, features: Tensor) -> Tensor:
        """Return the critic's value ``(B,)`` for features of ``body``."""
        return self.head(features).squeeze(1)
