"""Parents and what was drawn from them, side by side as one PNG: is the class still to be seen?"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SIDE = 64
_GAP = 8
_PAIRS_A_ROW = 6
_BACKGROUND = (24, 24, 24)


def pair_sheet(pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> bytes:
    """Draw each parent with its drawing to the right of it, enlarged without smoothing.

    Args:
        pairs: uint8 (S, S, C) parent and drawing, at least one pair.

    Returns:
        A PNG file.
    """
    from PIL import Image

    columns = min(_PAIRS_A_ROW, len(pairs))
    rows = -(-len(pairs) // columns)
    width = columns * (2 * _SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, rows * (_SIDE + _GAP) + _GAP), _BACKGROUND)
    for position, pair in enumerate(pairs):
        top = _GAP + position // columns * (_SIDE + _GAP)
        left = _GAP + position % columns * (2 * _SIDE + _GAP)
        for offset, pixels in zip((0, _SIDE), pair, strict=True):
            tile = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            tile = tile.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
            sheet.paste(tile, (left + offset, top))
    return encode_png(np.asarray(sheet))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return uint8 (H, W, C), C 1 or 3, as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
