"""Convert samples of any depth to uint8; no other code maps brightness."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.base import DecodedImage
from dgaal_cli.data.unreadable import UnreadableImageError


def brightness(decoded: DecodedImage) -> npt.NDArray[np.uint8]:
    """Return the levels of an image whose pixels are an array; hidden pixels are black.

    Returns:
        uint8, same shape as ``decoded.pixels``.

    Raises:
        UnreadableImageError: A sample that is not hidden is outside the range or NaN.
    """
    samples: npt.NDArray[Any] = np.asarray(decoded.pixels)
    hidden = decoded.hidden
    if hidden is not None:
        black = np.asarray(decoded.value_range[0]).astype(samples.dtype)
        samples = np.where(hidden if samples.ndim == 2 else hidden[:, :, None], black, samples)
    levels = to_uint8(samples, depth=decoded.depth, value_range=decoded.value_range)
    if decoded.is_inverted:
        levels = ~levels
    if hidden is not None:
        levels[hidden] = 0
    return levels


def to_uint8(
    pixels: npt.NDArray[Any], *, depth: int, value_range: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Map samples to 0..255.

    Integers that use the full range of their depth keep their high 8 bits; other samples are mapped
    from ``value_range`` to 0..255 and rounded.

    Args:
        pixels: Integers or floating-point numbers, any shape.
        depth: Bits per sample, at least 1.
        value_range: Min. and max. value.

    Returns:
        uint8, same shape.

    Raises:
        UnreadableImageError: A sample is outside the range or NaN.
    """
    low, high = value_range
    is_float = pixels.dtype.kind == "f"
    if not _is_within(pixels, low, high):
        kind = "floating-point" if is_float else f"{pixels.dtype.itemsize * 8}-bit"
        raise UnreadableImageError(
            f"{kind} samples outside {low}..{high} have no defined brightness"
        )
    if not is_float and depth >= 8 and value_range == (0, 2**depth - 1):
        return (pixels >> (depth - 8)).astype(np.uint8)
    scaled = pixels if is_float else pixels.astype(np.float64)
    return ((scaled - low) / (high - low) * 255 + 0.5).astype(np.uint8)


def _is_within(pixels: npt.NDArray[Any], low: float, high: float) -> bool:
    """Return whether all samples are in a range; False for NaN."""
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        if low <= limits.min and limits.max <= high:
            return True
    return bool(low <= pixels.min() and pixels.max() <= high)
