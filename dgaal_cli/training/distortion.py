"""Strong augmentation: affine changes, brightness and covering, a whole batch at once.

FixMatch trains T to keep its prediction under strong distortions (RandAugment and CTAugment with
Cutout, Sohn et al. 2020, section 2.3). We use those that do not change a digit's class: rotation,
scaling, shear, translation, brightness and contrast, tint for color images, and Cutout (DeVries &
Taylor 2017). No mirroring and no large rotation: a 6 stays a 6.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from dgaal_cli.training.device import to_device

TURN = math.radians(25.0)
SCALE = 0.2
SHEAR = 0.2
MOVE = 0.15
"""In half sides."""
LIGHT = 0.3
"""Brightness, in [-1, 1] as networks see it, and contrast, around 1."""
TINT = 0.15
"""Brightness of one channel."""
COVER = 0.3
"""Side of the covered square, as a part of the image's."""


def distort(images: Tensor, strength: float, generator: Generator, *, light: float = 1.0) -> Tensor:
    """Return a strong view of each image, each with its own random draws.

    Args:
        images: float ``(B, C, H, W)`` in [-1, 1], on any device.
        strength: 0 changes nothing, 1 uses the limits above, higher values exceed them.
        generator: CPU generator, whatever the device of the images.
        light: Factor on the strength of brightness, contrast and tint.
    """
    if not strength or not len(images):
        return images
    draws = to_device(torch.rand(len(images), 13, generator=generator) * 2 - 1, images.device)
    bent = _bend(images, strength * draws[:, :6])
    lit = _light(bent, strength * light * draws[:, 6:11])
    return _cover(lit, draws[:, 11:], min(1.0, strength * COVER))


def _bend(images: Tensor, draws: Tensor) -> Tensor:
    """Rotate, scale, shear and translate in one resampling; the border repeats its last pixel."""
    turn = TURN * draws[:, 0]
    wide, high = 1 + SCALE * draws[:, 1], 1 + SCALE * draws[:, 2]
    cosine, sine = torch.cos(turn), torch.sin(turn)
    rows = [
        torch.stack([cosine * wide, SHEAR * draws[:, 3] - sine * wide, MOVE * draws[:, 4]], 1),
        torch.stack([sine * high, cosine * high, MOVE * draws[:, 5]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _light(images: Tensor, draws: Tensor) -> Tensor:
    """Change contrast around the image's mean, brightness, and the tint of a color image."""
    draws = draws[:, :, None, None, None]
    mean = images.mean((1, 2, 3), keepdim=True)
    lit = mean + (images - mean) * (1 + LIGHT * draws[:, 0]) + LIGHT * draws[:, 1]
    if images.shape[1] == 3:
        lit = lit + TINT * draws[:, 2:, 0].view(-1, 3, 1, 1)
    return lit.clamp(-1.0, 1.0)


def _cover(images: Tensor, centers: Tensor, part: float) -> Tensor:
    """Cover a square with gray; a center near the border leaves a part of it outside."""
    height, width = images.shape[2:]
    masks = [
        (torch.linspace(-1, 1, size, device=images.device) - center[:, None]).abs() <= part
        for center, size in ((centers[:, 0], height), (centers[:, 1], width))
    ]
    return images.masked_fill((masks[0][:, :, None] & masks[1][:, None, :])[:, None], 0.0)
