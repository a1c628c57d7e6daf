"""Encoder G1: image to feature map, and its projection z for the latent discriminator."""

import itertools
import math

from torch import Tensor, nn

from dgaal_cli.networks.blocks import conv_block

MAP_SIDE = 4
"""Side in pixels of the encoder's last feature map."""


class Encoder(nn.Module):
    """G1 of DGAAL (Guo et al. 2021, Fig. 1): one plain block, then halving blocks down to 4 x 4.

    The paper shows four blocks and states the latent width only; the 4 x 4 map is the input of G2
    and a linear head gives z for D1. Channels double up to four times ``width``.

    Args:
        image_size: Side in pixels, a power of two of at least 8.
        width: Channels of the first block.
        latent: Width Z of the projection.
    """

    def __init__(self, *, channels: int, image_size: int, width: int, latent: int) -> None:
        super().__init__()
        halvings = round(math.log2(image_size / MAP_SIDE))
        widths = [width * min(2**depth, 4) for depth in range(halvings + 1)]
        layers = conv_block(channels, widths[0])
        for before, after in itertools.pairwise(widths):
            layers += conv_block(before, after, kernel=4, stride=2)
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
