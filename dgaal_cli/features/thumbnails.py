"""Thumbnails as feature rows: a first choice of images needs no encoder and no training.

They tell colors and rough shapes apart, no more, but a thousand images take about a second.
"""

import contextlib
import hashlib
import math
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from dgaal_cli import interruption
from dgaal_cli.config.schema import PoolConfig
from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter

SIDE = 8
"""Side of a thumbnail in pixels."""
THUMBNAILS = FeatureSpace(
    encoder=hashlib.sha256(b"RGB thumbnail, values 0 to 1").hexdigest(),
    crop="squash",
    dtype="float16",
    dimension=3 * SIDE**2,
)
"""Rows are the RGB values of the thumbnail, 0 to 1."""


def thumbnail_space(pool: PoolConfig) -> FeatureSpace:
    """Return the space of the thumbnails of a workspace's pool."""
    return msgspec.structs.replace(THUMBNAILS, range=rendering_of(pool).value_range)


def add_thumbnails(
    folder: Path,
    space: FeatureSpace,
    entries: Iterable[Entry],
    *,
    workers: int = 0,
    seconds: float = math.inf,
) -> None:
    """Add the thumbnails of images to a feature cache; unreadable images are left out.

    Args:
        folder: Folder of the cache, for all spaces.
        space: Of the thumbnails.
        entries: Images of a source.
        workers: Decoder processes; 0 starts one per CPU.
        seconds: Time after which the call ends before all images are read.

    Raises:
        BusyError: Another process adds thumbnails to this cache.
        StorageError: The cache cannot be written; what was saved is kept.
        InterruptedRunError: A signal stopped the call; what was saved is kept.
    """
    until = time.monotonic() + seconds
    batches = decode_stream(
        entries,
        size=SIDE,
        channels=3,
        workers=workers,
        reduces=True,
        rendering=Rendering(space.range),
    )
    with CacheWriter(folder, space) as writer, contextlib.closing(batches):
        for batch in batches:
            interruption.check("stopped while reading the pool; nothing was changed")
            rows = batch.pixels[batch.ok].reshape(-1, THUMBNAILS.dimension) / np.float32(255)
            digests = [own for own, ok in zip(batch.sha256, batch.ok, strict=True) if ok]
            writer.add(digests, rows)
            if time.monotonic() > until:
                break
