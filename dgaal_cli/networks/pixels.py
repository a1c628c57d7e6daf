"""Conversion between stored pixels (uint8, NHWC) and network inputs (float32, NCHW, [-1, 1]).

Features of a pretrained encoder, float32 rows ``(N, D)``, are network inputs as they are.
"""

import torch
from torch import Tensor


def normalize(images: Tensor) -> Tensor:
    """Map uint8 ``(N, H, W, C)`` in 0..255 to float32 ``(N, C, H, W)`` in [-1, 1].

    Features ``(N, D)`` are returned as they are.
    """
    if images.ndim == 2:
        return images
    # In place: two more tensors of a batch's size would cost more than the arithmetic.
    return images.permute(0, 3, 1, 2).to(torch.float32, copy=True).div_(127.5).sub_(1.0)


def denormalize(images: Tensor) -> Tensor:
    """Map float ``(N, C, H, W)`` in [-1, 1], clamped, to uint8 ``(N, H, W, C)``."""
    scaled = ((images + 1.0) * 127.5).round().clamp(0.0, 255.0)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
