"""Contrast-limited adaptive histogram equalization (Zuiderveld 1994, in Graphics Gems IV)."""

import numpy as np
from numpy.typing import NDArray

from dgaal_cli.tui.render.fit import Pixels

MAX_TILES = 8
"""Tiles along each side, with a histogram each."""
MIN_TILE = 16
"""Pixels of a tile's side: smaller histograms would be noise."""
CLIP = 3.0
"""Limit of a histogram's bin, in multiples of the mean bin; limits the gain of noise."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def equalized(image: Pixels) -> Pixels:
    """Return ``image``, (H, W, C) with C in {1, 3}, with the contrast of each part raised.

    Brightness is equalized, and each channel changes by the same amount, so hues stay similar.
    """
    brightness = image[:, :, 0] if image.shape[2] == 1 else image @ _LUMA
    levels = np.rint(brightness).astype(np.uint8)
    change = _equalized_levels(levels) - levels
    return np.clip(np.rint(image + change[:, :, None]), 0, 255).astype(np.uint8)


def _equalized_levels(levels: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Map each level by the curves of the four nearest tiles, weighted by their distance."""
    rows, columns = (min(MAX_TILES, max(1, side // MIN_TILE)) for side in levels.shape)
    curves = np.array(
        [
            [_curve(part) for part in np.array_split(band, columns, axis=1)]
            for band in np.array_split(levels, rows, axis=0)
        ]
    )
    top, bottom, down = _neighbors(levels.shape[0], rows)
    left, right, across = _neighbors(levels.shape[1], columns)

    def mapped(y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
        return curves[y[:, None], x[None, :], levels]

    upper = mapped(top, left) * (1 - across) + mapped(top, right) * across
    lower = mapped(bottom, left) * (1 - across) + mapped(bottom, right) * across
    return upper * (1 - down[:, None]) + lower * down[:, None]


def _curve(part: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the level, 0..255, of each level: the clipped cumulative histogram of a tile."""
    counts = np.bincount(part.ravel(), minlength=256).astype(np.float32)
    clipped = np.minimum(counts, max(1.0, CLIP * part.size / 256))
    clipped += (part.size - clipped.sum()) / 256
    return (255.0 * np.cumsum(clipped) / part.size).astype(np.float32)


def _neighbors(
    side: int, tiles: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the tiles before and after each pixel, and the weight of the one after."""
    at = np.clip((np.arange(side) + 0.5) * tiles / side - 0.5, 0, tiles - 1)
    before = np.floor(at).astype(np.intp)
    return before, np.minimum(before + 1, tiles - 1), (at - before).astype(np.float32)
