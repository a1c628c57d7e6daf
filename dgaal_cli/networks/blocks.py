"""Blocks of convolutions that several networks are built of."""

import torch.nn.functional as F
from torch import Tensor, nn


def conv_block(before: int, after: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution without bias, BatchNorm and ReLU."""
    conv = nn.Conv2d(before, after, kernel, stride, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, before: int, after: int, *, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_block(before, after, stride=stride),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and before == after
            else nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, before, H, W)`` to ``(B, after, H / stride, W / stride)``."""
        return F.relu(self.body(x) + self.shortcut(x))
