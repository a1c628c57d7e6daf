"""Two colors and a shape for each cell: block mosaics with the least squared error.

A cell of n pixels is shown by a character that divides them in two groups, each in its mean color.
All divisions are tried at once: with pixels centered at the cell's mean, the error that a division
removes is ``|s|^2 * n / (k * (n - k))``, where s is the sum of one group and k its size.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dgaal_cli.tui.render.fit import Pixels
from dgaal_cli.tui.render.look import Glyphs

_QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_SEXTANT_HALVES = (21, 42)
"""Masks of the left and the right half, which are not in the block of sextants."""
_OCTANTS_ELSEWHERE = {
    1: 0x1CEA8,
    2: 0x1CEAB,
    3: 0x1FB82,
    20: 0x1FBE6,
    40: 0x1FBE7,
    63: 0x1FB85,
    64: 0x1CEA3,
    128: 0x1CEA0,
    192: 0x2582,
    252: 0x2586,
}
"""Octants that other blocks of Unicode 16 have, besides the quadrants."""
_CHUNK = 128
MIN_GAIN = 1.0
"""Squared error per pixel and channel below which a cell has one color: it cannot be seen."""


def find_mosaic(
    pixels: Pixels, glyphs: Glyphs
) -> tuple[NDArray[np.intp], NDArray[np.uint8], NDArray[np.uint8]]:
    """Find shape and colors of each cell.

    Args:
        pixels: (rows * h, columns * w, 3), where (w, h) is ``glyphs.grid``.
        glyphs: Shapes of the terminal.

    Returns:
        Masks, (rows, columns), for ``characters``; colors of the masks' pixels and of the others,
        both (rows, columns, 3).
    """
    w, h = glyphs.grid
    rows, columns = pixels.shape[0] // h, pixels.shape[1] // w
    count = w * h
    cells = pixels.reshape(rows, h, columns, w, 3).transpose(4, 0, 2, 1, 3)
    cells = cells.reshape(3, rows * columns, count).astype(np.float32)
    mean = cells.mean(axis=2)  # (3, cells)
    bits, sizes = _divisions(count)
    best, gain = _best_divisions(cells - mean[:, :, None], bits, sizes)
    is_plain = gain < MIN_GAIN * count * 3
    chosen = bits[best]
    share = sizes[best]
    inside = np.einsum("kcn,cn->kc", cells, chosen)
    front = inside / share
    back = (mean * count - inside) / (count - share)
    masks = np.where(is_plain, 0, best + 1).reshape(rows, columns)

    def color(found: NDArray[np.float32]) -> Pixels:
        shown = np.rint(np.where(is_plain, mean, found)).astype(np.uint8)
        return shown.T.reshape(rows, columns, 3)

    return masks, color(front), color(back)


def _best_divisions(
    centered: NDArray[np.float32], bits: NDArray[np.float32], sizes: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the best division of each cell and its gain, both (cells,).

    A few cells at a time stay in the processor's cache and are too few for BLAS to start threads.
    """
    count = bits.shape[1]
    scaled = (bits * np.sqrt(count / (sizes * (count - sizes)))[:, None]).T.astype(np.float32)
    total = centered.shape[1]
    best, gains = np.empty(total, np.intp), np.empty(total, np.float32)
    for start in range(0, total, _CHUNK):
        part = slice(start, start + _CHUNK)
        sums = centered[:, part].reshape(-1, count) @ scaled
        np.square(sums, out=sums)
        gain = sums.reshape(3, -1, len(bits)).sum(axis=0)
        best[part] = gain.argmax(axis=1)
        gains[part] = gain.max(axis=1)
    return best, gains


@lru_cache(maxsize=4)
def _divisions(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the divisions of ``count`` pixels, (masks, count), and the sizes of one group.

    Row i is mask i + 1. Masks with the last pixel are complements of others.
    """
    masks: NDArray[np.intp] = np.arange(1, 1 << (count - 1))
    bits: NDArray[np.float32] = (masks[:, None] >> np.arange(count) & 1).astype(np.float32)
    return bits, bits.sum(axis=1)


@lru_cache(maxsize=4)
def characters(glyphs: Glyphs) -> str:
    """Return the character of each mask; bit 0 is the top left pixel, bit 1 the one beside it."""
    if glyphs is Glyphs.HALF:
        return " ▀▄█"
    if glyphs is Glyphs.QUADRANTS:
        return _QUADRANTS
    return _sextants() if glyphs is Glyphs.SEXTANTS else _octants()


def _sextants() -> str:
    found = [" "]
    for mask in range(1, 63):
        if mask in _SEXTANT_HALVES:
            found.append("▌" if mask == _SEXTANT_HALVES[0] else "▐")
        else:
            skipped = sum(mask > half for half in _SEXTANT_HALVES)
            found.append(chr(0x1FB00 + mask - 1 - skipped))
    return "".join([*found, "█"])


def _octants() -> str:
    known = {mask: chr(code) for mask, code in _OCTANTS_ELSEWHERE.items()}
    for mask, character in enumerate(_QUADRANTS):
        upper, lower = mask & 3, mask >> 2
        known[upper * 0b101 | lower * 0b1010000] = character
    rest = iter(range(0x1CD00, 0x1CDE6))
    return "".join(known.get(mask) or chr(next(rest)) for mask in range(256))
