"""Images whose pixels come from a formula, encoded as files of several kinds."""

import io
from typing import Any

import numpy as np
from PIL import Image


def pixels(number: int, *, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    """Return uint8 (H, W, C); different for every number."""
    count = height * width * channels
    values = (np.arange(count, dtype=np.int64) * 7 + number * 31) % 251
    return values.astype(np.uint8).reshape(height, width, channels)


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of an image file."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(number: int) -> bytes:
    """Return a small color PNG, different for every number."""
    return encoded(pixels(number))


def bomb() -> bytes:
    """Return a small PNG whose header says 20,000 x 20,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 60_001)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
