"""Decode one image to an upright array, and resize it."""

import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.base import MAX_PIXELS, Framing, Target
from dgaal_cli.data.decoders.load import (
    RESIZE_RULE,
    frame_picture,
    load_picture,
    silence_decoders,
    stretch,
    tile_picture,
    with_channels,
)
from dgaal_cli.data.decoders.pillow import plain
from dgaal_cli.data.unreadable import UnreadableImageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_PIXELS", "RESIZE_RULE", "Pixels", "UnreadableImageError", "decode", "resize"]

Pixels = npt.NDArray[np.uint8]

# All threads share the interpreter's warning filters; only one thread may replace them at a time.
_filters = threading.Lock()


def decode(data: bytes | npt.NDArray[Any], *, channels: int | None = None) -> Pixels:
    """Return the upright pixels of one image.

    Args:
        data: An encoded file of a format in ``decoders.registry``, or uint8 pixels of shape
            (H, W) or (H, W, C) with C in 1, 3, 4.
        channels: 1 gray, 3 color; None keeps the image's channels.

    Returns:
        uint8 (H, W, C), C in 1, 3. Transparent pixels are composited on black.

    Raises:
        UnreadableImageError: The image cannot be decoded; the error has a short reason.
    """
    if isinstance(data, np.ndarray):
        return _with_channels(_from_array(data), channels)
    with _filters, warnings.catch_warnings():
        silence_decoders()
        return _to_array(load_picture(data, Target(channels=channels)).image)


def resize(image: Pixels, *, size: int, channels: int) -> Pixels:
    """Stretch the image to (size, size, channels), antialiased bilinear.

    Args:
        image: uint8 (H, W, C), C in 1, 3.
        size: Side in pixels.
        channels: 1 or 3.

    Returns:
        uint8 (size, size, channels); ``image`` itself if it already has this shape.
    """
    if image.shape == (size, size, channels):
        return image
    if image.shape[:2] == (size, size):
        return _with_channels(image, channels)
    return _to_array(stretch(with_channels(_to_picture(image), channels), size))


def frame(image: Pixels, framing: Framing) -> Pixels:
    """Return the square (side, side, 3) that ``framing`` makes of an image (H, W, C), C in 1, 3."""
    return _to_array(frame_picture(_to_picture(image), framing))


def tile(image: Pixels, framing: Framing) -> Pixels:
    """Return the squares (TILES * side, side, 3) of an image (H, W, C); see ``Target``."""
    return _to_array(tile_picture(_to_picture(image), framing))


def _from_array(data: npt.NDArray[Any]) -> Pixels:
    if data.dtype != np.uint8:
        raise UnreadableImageError(f"array of {data.dtype}, not of uint8")
    if data.ndim == 2:
        data = data[:, :, None]
    if data.ndim != 3 or data.shape[2] not in (1, 3, 4):
        raise UnreadableImageError(f"array of shape {data.shape}, not (H, W) or (H, W, C)")
    height, width = data.shape[:2]
    if not 0 < height * width <= MAX_PIXELS:
        raise UnreadableImageError(f"array of {width} x {height} pixels")
    return _to_array(plain(_to_picture(data))) if data.shape[2] == 4 else data


def _with_channels(image: Pixels, channels: int | None) -> Pixels:
    if channels is None or image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return _to_array(_to_picture(image).convert("L"))


def _to_picture(image: Pixels) -> "Image.Image":
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(image[:, :, 0] if image.shape[2] == 1 else image))


def _to_array(image: "Image.Image") -> Pixels:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
