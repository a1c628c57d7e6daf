"""Decoder G2: feature map times noise, residual blocks, and back to an image."""

import math

import torch
from torch import Generator, Tensor, nn

from dgaal_cli.networks.blocks import ResidualBlock
from dgaal_cli.networks.encoder import MAP_SIDE


class Decoder(nn.Module):
    """G2 of DGAAL (Guo et al. 2021): noise layer, residual trunk, transposed convolutions, tanh.

    The paper's noise is a frozen 1 x 1 convolution, weights in [0.95, 1.05]. A dense one would
    output copies of the channel sum, and training could undo a fixed one. So noise is one factor
    per channel, drawn for each image and call, and an argument here.

    Args:
        image_size: Side in pixels, a power of two of at least 8.
        map_channels: Channels M of the encoder's map.
    """

    def __init__(
        self, *, channels: int, image_size: int, map_channels: int, residual_blocks: int
    ) -> None:
        super().__init__()
        self.map_channels = map_channels
        blocks = (ResidualBlock(map_channels, map_channels) for _ in range(residual_blocks))
        self.trunk = nn.Sequential(*blocks)
        doublings = round(math.log2(image_size / MAP_SIDE))
        layers: list[nn.Module] = []
        before = map_channels
        for _ in range(doublings):
            after = max(map_channels // 4, before // 2)
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            before = after
        self.body = nn.Sequential(*layers, nn.Conv2d(before, channels, 3, padding=1), nn.Tanh())

    def forward(self, feature_map: Tensor, noise: Tensor) -> Tensor:
        """Decode images.

        Args:
            feature_map: ``(B, M, 4, 4)`` of the encoder.
            noise: ``(B, M)`` factors around 1, see ``draw_noise``.

        Returns:
            ``(B, C, H, W)`` in [-1, 1].
        """
        return self.body(self.trunk(feature_map * noise[:, :, None, None]))


def draw_noise(count: int, channels: int, *, half_width: float, generator: Generator) -> Tensor:
    """Draw factors ``(count, channels)``, uniform in [1 - half_width, 1 + half_width].

    The draw is made on the CPU so that one seed gives the same images on every device.
    """
    return 1.0 + half_width * (2.0 * torch.rand(count, channels, generator=generator) - 1.0)
