"""EfficientNet-Lite (Tan & Le 2019; TensorFlow's Lite variant) without its classifier.

Unlike EfficientNet it has ReLU6, no squeeze-and-excitation, and first and last convolutions whose
width does not grow. Convolutions are padded as TensorFlow pads them: more at right and bottom.
"""

import math
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_STAGES = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _TOP = 32, 1280

_PUBLISHED = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "top.conv",
    "_bn1": "top.norm",
}
_PUBLISHED_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
"""Layers of the published weights to ours."""


class EfficientNetLite(nn.Module):
    """Normalized images ``(N, 3, S, S)`` to a map ``(N, 1280, S / 32, S / 32)``.

    Args:
        width: Factor on the channels of the blocks.
        depth: Factor on the number of blocks, except in the first and the last stage.
    """

    def __init__(self, *, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.stem = _ConvNorm(3, _STEM, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        before = _STEM
        for number, (count, kernel, stride, expansion, channels) in enumerate(_STAGES):
            is_inner = 0 < number < len(_STAGES) - 1
            after = _rounded(channels * width)
            for row in range(math.ceil(count * depth) if is_inner else count):
                step = stride if row == 0 else 1
                blocks.append(_Block(before, after, kernel, step, expansion))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.top = _ConvNorm(before, _TOP, kernel=1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the map; its mean over space is the vector."""
        return self.top(self.blocks(self.stem(images)))

    def fold(self) -> None:
        """Fold each BatchNorm into its convolution: half as many layers to export and to run."""
        for layer in self.modules():
            if isinstance(layer, _ConvNorm):
                assert isinstance(layer.norm, nn.BatchNorm2d), "it is folded once"
                layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
                layer.norm = nn.Identity()

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights with the names of the package ``efficientnet-lite-pytorch``.

        Raises:
            KeyError, RuntimeError: Names or shapes differ.
        """
        own = {_own_name(key): value for key, value in weights.items() if "_fc." not in key}
        self.load_state_dict(own)


class _ConvNorm(nn.Module):
    """Convolution, BatchNorm, and ReLU6 unless the block ends linearly."""

    def __init__(
        self,
        before: int,
        after: int,
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        is_linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(after, eps=1e-3)
        self.is_linear = is_linear

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        wide, high = (
            max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
            for length in (x.shape[3], x.shape[2])
        )
        if wide or high:
            x = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        x = self.norm(self.conv(x))
        return x if self.is_linear else F.relu6(x)


class _Block(nn.Module):
    """Inverted residual block: expand, depthwise convolution, project."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = _ConvNorm(before, inner, kernel=1) if expansion > 1 else nn.Identity()
        self.depthwise = _ConvNorm(inner, inner, kernel=kernel, stride=stride, groups=inner)
        self.project = _ConvNorm(inner, after, kernel=1, is_linear=True)
        self.is_residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8 that is not more than a tenth smaller."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _own_name(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "_blocks":
        return ".".join(["blocks", parts[1], _PUBLISHED_BLOCK[parts[2]], *parts[3:]])
    return ".".join([_PUBLISHED[parts[0]], *parts[1:]])
