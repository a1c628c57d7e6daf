"""Between stored pixels (uint8, NHWC) and what networks see (float32 in [-1, 1], NCHW)."""

import torch
from torch import Tensor


def normalize(images: Tensor) -> Tensor:
    """Map uint8 ``(N, H, W, C)`` in 0..255 to float32 ``(N, C, H, W)`` in [-1, 1]."""
    # In place on the one new tensor: two more of a batch's size cost more than the arithmetic.
    return images.permute(0, 3, 1, 2).to(torch.float32, copy=True).div_(127.5).sub_(1.0)


def denormalize(images: Tensor) -> Tensor:
    """Map float ``(N, C, H, W)`` in [-1, 1], clamped, to uint8 ``(N, H, W, C)``."""
    scaled = ((images + 1.0) * 127.5).round().clamp(0.0, 255.0)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
