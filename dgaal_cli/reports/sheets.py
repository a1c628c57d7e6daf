"""Sheets of many small images as PNG files: queries, pairs of parent and copy, synthetic images."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgaal_cli.escaping import show

Pixels = NDArray[np.uint8]

MAX_CELLS = 60
"""Maximum number of images on a sheet of a query."""
_SIDE = 64
_DARK = 24
_INK = (220, 220, 220)
_MAX_CAPTION = 11


def encode_png(pixels: Pixels, **notes: str) -> bytes:
    """Return uint8 (H, W, C), C 1 or 3, as a PNG file with these texts inside, by keyword."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for keyword, text in notes.items():
        info.add_text(keyword, text)
    buffer = io.BytesIO()
    _picture(pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def grid(
    tiles: Sequence[Pixels],
    captions: Sequence[str] = (),
    *,
    columns: int,
    gap: int,
    margin: int,
    caption_height: int = 0,
    background: int = _DARK,
) -> Pixels:
    """Place uint8 (H, W, C) images of one size in lines, each with a caption below if there is one.

    ``gap`` pixels are right of and below each image; ``margin`` pixels left of and above all.
    """
    from PIL import ImageDraw

    height, width = tiles[0].shape[:2]
    down, right = height + caption_height + gap, width + gap
    columns = min(columns, len(tiles))
    lines = -(-len(tiles) // columns)
    shape = (lines * down + margin, columns * right + margin, 3)
    sheet = np.full(shape, background, np.uint8)
    places = (divmod(place, columns) for place in range(len(tiles)))
    corners = [(margin + line * down, margin + column * right) for line, column in places]
    for (top, left), tile in zip(corners, tiles, strict=True):
        sheet[top : top + height, left : left + width] = tile
    picture = _picture(sheet)
    draw = ImageDraw.Draw(picture)
    for (top, left), caption in zip(corners, captions, strict=False):
        draw.text((left, top + height + 1), caption, fill=_INK)
    return np.asarray(picture)


def query_sheet(images: Sequence[Pixels], captions: Sequence[str]) -> bytes:
    """Draw up to ``MAX_CELLS`` images of a query with a line below each; return a PNG.

    Images are uint8 (H, W, C), of any size, at least one; small ones are enlarged without
    smoothing. Captions are cut to the width of the cell.
    """
    latin = [show(text)[:_MAX_CAPTION].encode("latin-1", "replace") for text in captions]
    texts = [text.decode("latin-1") for text in latin]
    tiles = [_fitted(pixels) for pixels in images[:MAX_CELLS]]
    return encode_png(grid(tiles, texts, columns=12, gap=6, margin=6, caption_height=13))


def pair_sheet(pairs: Sequence[tuple[Pixels, ...]]) -> bytes:
    """Draw each parent with its synthetic copy to the right, not smoothed; return a PNG.

    Pairs are uint8 (S, S, C) parent and copy, or one synthetic image without a parent; all of the
    same kind, at least one.
    """
    tiles = [np.hstack([_resized(each, _SIDE, _SIDE) for each in pair]) for pair in pairs]
    return encode_png(grid(tiles, columns=12 // len(pairs[0]), gap=8, margin=8))


def square_sheet(images: Sequence[Pixels]) -> bytes:
    """Draw uint8 (S, S, C) images, at least one, in as many lines as columns; return a PNG."""
    columns = math.ceil(math.sqrt(len(images)))
    tiles = [_resized(image, 46, 46) for image in images]
    return encode_png(grid(tiles, columns=columns, gap=2, margin=0, background=40))


def _fitted(pixels: Pixels) -> Pixels:
    """Return an image in the middle of a dark square."""
    scale = _SIDE / max(pixels.shape[:2])
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    top, left = (_SIDE - height) // 2, (_SIDE - width) // 2
    tile = np.full((_SIDE, _SIDE, 3), _DARK, np.uint8)
    resized = _resized(pixels, width, height, is_smooth=scale < 1)
    tile[top : top + height, left : left + width] = resized
    return tile


def _resized(pixels: Pixels, width: int, height: int, *, is_smooth: bool = False) -> Pixels:
    from PIL import Image

    rule = Image.Resampling.BILINEAR if is_smooth else Image.Resampling.NEAREST
    return np.asarray(_picture(pixels).resize((width, height), rule)).reshape(height, width, -1)


def _picture(pixels: Pixels) -> Any:
    from PIL import Image

    plane = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(plane))
