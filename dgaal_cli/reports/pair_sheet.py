"""Parent images next to their synthetic copies, to check that the class is still visible."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SIDE = 64
_GAP = 8
_TILES_A_ROW = 12
_BACKGROUND = (24, 24, 24)


def pair_sheet(pairs: Sequence[tuple[NDArray[np.uint8], ...]]) -> bytes:
    """Draw each parent with its synthetic copy to the right, enlarged without smoothing.

    Args:
        pairs: uint8 (S, S, C) parent and copy, or one synthetic image without a parent; all of the
            same kind, at least one.

    Returns:
        A PNG file.
    """
    from PIL import Image

    tiles = len(pairs[0])
    columns = min(_TILES_A_ROW // tiles, len(pairs))
    rows = -(-len(pairs) // columns)
    width = columns * (tiles * _SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, rows * (_SIDE + _GAP) + _GAP), _BACKGROUND)
    for position, pair in enumerate(pairs):
        top = _GAP + position // columns * (_SIDE + _GAP)
        left = _GAP + position % columns * (tiles * _SIDE + _GAP)
        for offset, pixels in enumerate(pair):
            tile = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            tile = tile.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
            sheet.paste(tile, (left + offset * _SIDE, top))
    return encode_png(np.asarray(sheet))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return uint8 (H, W, C), C 1 or 3, as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
