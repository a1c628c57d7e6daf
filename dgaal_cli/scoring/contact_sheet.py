"""The best-ranked images side by side as one PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

from dgaal_cli import atomic
from dgaal_cli.data.pool import load_pixels
from dgaal_cli.data.sources.base import Source
from dgaal_cli.scoring.rows import Row

_SIDE = 96
_GAP = 8
_CAPTION = 14
_COLUMNS = 10


def write_contact_sheet(path: Path, source: Source, rows: Sequence[Row]) -> None:
    """Draw images in rank order with rank and score below each.

    Args:
        path: PNG file to write.
        source: Where the images are.
        rows: Scored rows, best first; at least one.
    """
    from PIL import Image, ImageDraw

    tiles = load_pixels(source, [row.id for row in rows], size=_SIDE, channels=3, workers=1)
    columns = min(_COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    width = columns * (_SIDE + _GAP) + _GAP
    height = lines * (_SIDE + _CAPTION + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    for place, (row, tile) in enumerate(zip(rows, tiles, strict=True)):
        left = _GAP + place % columns * (_SIDE + _GAP)
        top = _GAP + place // columns * (_SIDE + _CAPTION + _GAP)
        sheet.paste(Image.fromarray(tile), (left, top))
        caption = f"{place + 1}  {row.score:.3g}"
        draw.text((left, top + _SIDE + 1), caption, fill=(220, 220, 220))
    data = io.BytesIO()
    sheet.save(data, "PNG")
    atomic.write_bytes(path, data.getvalue())
