"""Weak augmentation: the views of images on which every task model is trained."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from dgaal_cli.config.schema import ClassifierConfig
from dgaal_cli.training.device import to_device


def augment(images: Tensor, config: ClassifierConfig, generator: Generator) -> Tensor:
    """Shift and mirror uint8 images ``(B, H, W, C)``, each by its own random draw.

    Features ``(B, D)`` are returned as they are.

    Each row of a result is one run of bytes in the padded or mirrored images, so one selection
    reads all rows; indexing value by value took eight times as long.
    """
    margin = config.shift
    if images.ndim == 2 or not (margin or config.flip):
        return images
    count, height, width, channels = images.shape
    down, right = torch.zeros(2, count, dtype=torch.int64)
    if margin:
        down, right = torch.randint(2 * margin + 1, (2, count), generator=generator)
        images = F.pad(images, [0, 0, margin, margin, margin, margin])
    index = torch.arange(count)
    if config.flip:
        is_flipped = torch.rand(count, generator=generator) < 0.5
        images = torch.cat([images, images.flip(2)])
        index = index + count * is_flipped
        right = torch.where(is_flipped, 2 * margin - right, right)
    row_size = (width + 2 * margin) * channels
    rows = (index * (height + 2 * margin) + down)[:, None] + torch.arange(height)
    starts = to_device((rows * row_size + channels * right[:, None]).flatten(), images.device)
    size = width * channels
    runs = images.flatten().as_strided((images.numel() - size + 1, size), (1, 1))
    return runs.index_select(0, starts).view(count, height, width, channels)
