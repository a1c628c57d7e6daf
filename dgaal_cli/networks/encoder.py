"""Encoder G1: image to feature map, and its projection z for the latent discriminator."""

import itertools
import math

import torch.nn.functional as F
from torch import Tensor, nn

MAP_SIDE = 4
"""Side in pixels of the encoder's last feature map."""


class Encoder(nn.Module):
    """G1 of DGAAL (Guo et al. 2021, Fig. 1): one plain block, then halving blocks down to 4 x 4.

    The paper shows four blocks and states the latent width only; the 4 x 4 map is the input of G2
    and a linear head gives z for D1. Channels double up to four times ``width``.

    Args:
        channels: Channels C of the images.
        image_size: Side in pixels, a power of two of at least 8.
        width: Channels of the first block.
        latent: Width Z of the projection.
    """

    def __init__(self, *, channels: int, image_size: int, width: int, latent: int) -> None:
        super().__init__()
        halvings = round(math.log2(image_size / MAP_SIDE))
        widths = [width * min(2**depth, 4) for depth in range(halvings + 1)]
        layers = _block(channels, widths[0], kernel=3, stride=1)
        for before, after in itertools.pairwise(widths):
            layers += _block(before, after, kernel=4, stride=2)
        self.body = nn.Sequential(*layers)
        self.map_channels = widths[-1]
        self.project = nn.Linear(self.map_channels * MAP_SIDE**2, latent)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images.

        Args:
            images: ``(B, C, H, W)`` float in [-1, 1].

        Returns:
            The map ``(B, M, 4, 4)`` for G2 and the projection z ``(B, Z)`` for D1.
        """
        feature_map = self.body(images)
        return feature_map, self.project(feature_map.flatten(1))


def _block(before: int, after: int, *, kernel: int, stride: int) -> list[nn.Module]:
    conv = nn.Conv2d(before, after, kernel, stride, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the map plus its residual, of the same shape."""
        return F.relu(feature_map + self.body(feature_map))
