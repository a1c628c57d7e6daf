"""A contact sheet of the images of one query, in query order."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dgaal_cli.escaping import show

MAX_CELLS = 60
_SIDE, _GAP, _CAPTION, _COLUMNS = 64, 6, 13, 12
_BACKGROUND, _INK = (24, 24, 24), (220, 220, 220)
_MAX_CAPTION = 11


def draw_sheet(images: Sequence[npt.NDArray[np.uint8]], captions: Sequence[str]) -> bytes:
    """Draw up to ``MAX_CELLS`` images with a line below each; return a PNG.

    Args:
        images: uint8 (H, W, C) each, of any size, at least one; small ones are enlarged without
            smoothing.
        captions: One per image, cut to the width of the cell.
    """
    from PIL import Image, ImageDraw

    shown = list(zip(images, captions, strict=True))[:MAX_CELLS]
    columns = min(_COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    width = columns * (_SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, lines * (_SIDE + _CAPTION + _GAP) + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for place, (pixels, caption) in enumerate(shown):
        left = _GAP + place % columns * (_SIDE + _GAP)
        top = _GAP + place // columns * (_SIDE + _CAPTION + _GAP)
        tile = Image.fromarray(
            np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        )
        is_small = max(tile.size) <= _SIDE
        rule = Image.Resampling.NEAREST if is_small else Image.Resampling.BILINEAR
        scale = _SIDE / max(tile.size)
        size = (max(1, round(tile.width * scale)), max(1, round(tile.height * scale)))
        tile = tile.convert("RGB").resize(size, rule)
        sheet.paste(tile, (left + (_SIDE - size[0]) // 2, top + (_SIDE - size[1]) // 2))
        text = show(caption)[:_MAX_CAPTION].encode("latin-1", "replace").decode("latin-1")
        draw.text((left, top + _SIDE + 1), text, fill=_INK)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
