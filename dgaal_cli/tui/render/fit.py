"""Scale an image into a box of pixels: one cell is 1 x 2 square ones, or finer ones of a mosaic.

Below four times the size, nearest neighbor with an integer factor keeps pixels crisp. From four
times on, blocks hide the shape (8 x 8 digits were hard to read), so scaling is bicubic. Shrinking
averages areas.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dgaal_cli.tui.render.look import Glyphs

Pixels = NDArray[np.uint8]

SMOOTH_FROM = 4
"""Magnification from which scaling is smooth instead of crisp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """An image scaled to the half-block pixels of one widget."""

    pixels: Pixels
    """(rows * h, columns * w, 3), letterboxed, where (w, h) is ``glyphs.grid``."""
    inside: NDArray[np.bool_]
    """(2 * rows, columns): True where the image is, False where the letterbox is."""
    note: str
    """Scaling, shown in the frame: ``8x8 → 66x66 smooth``."""
    glyphs: Glyphs = Glyphs.HALF


def fit(
    image: Pixels,
    *,
    columns: int,
    rows: int,
    is_toggled: bool = False,
    background: tuple[int, int, int] = (0, 0, 0),
    glyphs: Glyphs = Glyphs.HALF,
) -> Fitted:
    """Scale ``image`` into ``columns`` x ``2 * rows`` square pixels and center it there.

    Args:
        image: (H, W, C) uint8 with C in {1, 3}; H, W >= 1.
        columns: Width of the box in cells, at least 1.
        rows: Height of the box in cells, at least 1.
        is_toggled: Swap smooth and crisp.
        background: Color of the letterbox.
        glyphs: Pixels of a cell; those of mosaics are finer, and may be higher than wide.
    """
    height, width = image.shape[:2]
    target_width, target_height, how = _plan(width, height, columns, 2 * rows, is_toggled)
    rgb = np.broadcast_to(image, (height, width, 3)) if image.shape[2] == 1 else image
    # An even top edge aligns a crisp image with whole cells, which halves its bytes.
    top = (2 * rows - target_height) // 2 // 2 * 2
    left = (columns - target_width) // 2
    inside = np.zeros((2 * rows, columns), dtype=bool)
    inside[top : top + target_height, left : left + target_width] = True
    w, h = glyphs.grid
    fine_width, fine_height = target_width * w, max(1, target_height * h // 2)
    canvas = np.empty((rows * h, columns * w, 3), dtype=np.uint8)
    canvas[:] = background
    y, x = top * h // 2, left * w
    scaled = _resize(rgb, fine_width, fine_height, how)
    canvas[y : y + fine_height, x : x + fine_width] = scaled
    name = "1:1" if how == "same" else f"→ {target_width}x{target_height} {how}"
    return Fitted(pixels=canvas, inside=inside, note=f"{width}x{height} {name}", glyphs=glyphs)


def shrink(image: Pixels, *, side: int) -> Pixels:
    """Return ``image`` with its longer side at most ``side`` pixels, averaging areas."""
    height, width = image.shape[:2]
    if max(height, width) <= side:
        return image
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    plane = image[:, :, 0] if image.shape[2] == 1 else image
    smaller = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX))
    return smaller[:, :, None] if image.shape[2] == 1 else smaller


def _plan(
    width: int,
    height: int,
    box_width: int,
    box_height: int,
    is_toggled: bool,  # noqa: FBT001
) -> tuple[int, int, str]:
    scale = min(box_width / width, box_height / height)
    exact = (max(1, round(width * scale)), max(1, round(height * scale)))
    exact = (min(exact[0], box_width), min(exact[1], box_height))
    if scale < 1:
        return (*exact, "nearest" if is_toggled else "area")
    whole = int(scale)
    if (whole >= SMOOTH_FROM) != is_toggled:
        return (*exact, "smooth")
    return width * whole, height * whole, "same" if whole == 1 else f"crisp x{whole}"


def _resize(image: Pixels, width: int, height: int, how: str) -> Pixels:
    if how == "same" or how.startswith("crisp"):
        down, right = height / image.shape[0], width / image.shape[1]
        if down == int(down) and right == int(right):
            return image.repeat(int(down), axis=0).repeat(int(right), axis=1)
    is_larger = height >= image.shape[0] and width >= image.shape[1]
    kind = {"smooth": Image.Resampling.BICUBIC, "area": Image.Resampling.BOX}.get(
        "smooth" if how == "area" and is_larger else how, Image.Resampling.NEAREST
    )
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), kind))
