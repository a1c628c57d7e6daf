"""Contact sheet: the best-ranked images in a grid, as one PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dgaal_cli import atomic
from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.sources.base import Source
from dgaal_cli.data.sources.selection import entries_named
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import SampleId
from dgaal_cli.reports.sheets import encode_png, grid
from dgaal_cli.scoring.features import check_folder
from dgaal_cli.scoring.rows import Row

_SIDE = 96
_SIGNATURE = b"dgaal contact sheet"
_HEAD_BYTES = 1024


def check_sheet(path: Path) -> None:
    """Check, before scoring starts, that the sheet can be written and replaces no other image.

    Raises:
        UsageError: The file exists and is not a contact sheet, or the folder is not writable.
    """
    check_folder(path)
    try:
        with path.open("rb") as stream:
            is_ours = _SIGNATURE in stream.read(_HEAD_BYTES)
    except FileNotFoundError:
        return
    except OSError:
        is_ours = False
    if not is_ours:
        raise UsageError(
            f"--contact-sheet would replace {path}, which dgaal did not write; "
            "move it, or choose another table with -o"
        )


def write_contact_sheet(
    path: Path, source: Source, rows: Sequence[Row], rendering: Rendering
) -> None:
    """Write a PNG of the images of ``rows``, best first, at least one, with rank and score."""
    tiles = _tiles(source, [row.id for row in rows], rendering)
    captions = [f"{rank}  {row.score:.3g}" for rank, row in enumerate(rows, start=1)]
    sheet = grid(tiles, captions, columns=10, gap=8, margin=8, caption_height=14)
    atomic.write_bytes(path, encode_png(sheet, Software=_SIGNATURE.decode()))


def _tiles(source: Source, names: Sequence[SampleId], rendering: Rendering) -> list[Pixels]:
    """Decode images by id; an image that has become unreadable since scoring is black."""
    black: Pixels = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    tiles = dict.fromkeys(names, black)
    stream = decode_stream(
        entries_named(source, names),
        size=_SIDE,
        channels=3,
        workers=1,
        chunk=16,
        hashes=False,
        rendering=rendering,
    )
    for batch in stream:
        tiles |= zip((entry.id for entry in batch.entries), batch.pixels, strict=True)
    return [tiles[name] for name in names]
