"""Convert samples of any depth to uint8; no other code maps brightness."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.unreadable import UnreadableImageError


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
    if not bool(((pixels >= low) & (pixels <= high)).all()):  # False for NaN, too
        kind = "floating-point" if is_float else f"{pixels.dtype.itemsize * 8}-bit"
        raise UnreadableImageError(
            f"{kind} samples outside {low}..{high} have no defined brightness"
        )
    if not is_float and depth >= 8 and value_range == (0, 2**depth - 1):
        return (pixels >> (depth - 8)).astype(np.uint8)
    scaled = pixels if is_float else pixels.astype(np.float64)
    return ((scaled - low) / (high - low) * 255 + 0.5).astype(np.uint8)
