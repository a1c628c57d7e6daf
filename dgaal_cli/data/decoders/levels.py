"""Convert samples of any depth to uint8; no other code maps brightness."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.base import DecodedImage, Rendering
from dgaal_cli.data.unreadable import UnreadableImageError


def brightness(decoded: DecodedImage, rendering: Rendering) -> npt.NDArray[np.uint8]:
    """Return the levels of an image whose pixels are an array; hidden pixels are black.

    Returns:
        uint8, same shape as ``decoded.pixels``.

    Raises:
        UnreadableImageError: Without a range, a sample that is not hidden is outside the range of
            the file, or NaN.
    """
    samples = cast("npt.NDArray[Any]", decoded.pixels)
    chosen = decoded.value_range if decoded.is_windowed else None
    if rendering.value_range is not None and not is_eight_bit(decoded):
        chosen = rendering.value_range
    if chosen is not None:
        levels = clip_to_uint8(samples, chosen)
    else:
        levels = to_uint8(_visible(decoded), depth=decoded.depth, value_range=decoded.value_range)
    if decoded.is_inverted:
        levels = ~levels
    if decoded.hidden is not None:
        levels[decoded.hidden] = 0
    return levels


def is_eight_bit(decoded: DecodedImage) -> bool:
    """Return whether the samples, of an array, are levels already."""
    return cast("npt.NDArray[Any]", decoded.pixels).dtype == np.uint8


def spread(decoded: DecodedImage, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return two percentiles of the samples that are visible and finite; NaN without any."""
    samples = cast("npt.NDArray[Any]", decoded.pixels)
    if decoded.hidden is not None:
        samples = samples[~decoded.hidden]
    if samples.dtype.kind == "f":
        samples = samples[np.isfinite(samples)]
    if not samples.size:
        return float("nan"), float("nan")
    if percentiles == (0, 100):
        return float(samples.min()), float(samples.max())
    low, high = np.percentile(samples, percentiles)
    return float(low), float(high)


def range_reason(decoded: DecodedImage) -> str:
    """Return why an image has no brightness without a range; empty if it has."""
    try:
        _check_range(_visible(decoded), decoded.value_range)
    except UnreadableImageError as error:
        return error.reason
    return ""


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
    _check_range(pixels, value_range)
    is_float = pixels.dtype.kind == "f"
    if depth == 16 and pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        both = np.ascontiguousarray(pixels).view(np.uint8).reshape(*pixels.shape, 2)
        is_big = pixels.dtype.newbyteorder("=") != pixels.dtype
        return both[..., 0 if is_big else 1].copy()  # one pass instead of two
    if not is_float and depth >= 8 and value_range == (0, 2**depth - 1):
        return (pixels >> (depth - 8)).astype(np.uint8)
    low, high = value_range
    scaled = pixels if is_float else pixels.astype(np.float64)
    return ((scaled - low) / (high - low) * 255 + 0.5).astype(np.uint8)


def clip_to_uint8(
    pixels: npt.NDArray[Any], value_range: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Map samples from ``value_range`` to 0..255 and round; clip those outside. NaN becomes 0.

    Args:
        pixels: Integers or floating-point numbers, any shape.
        value_range: Min. and max. value.

    Returns:
        uint8, same shape.
    """
    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2:
        limits = np.iinfo(pixels.dtype)
        values = np.arange(limits.min, limits.max + 1)
        table = np.roll(_scaled(values, value_range), int(limits.min))  # negative values at the end
        return table[pixels]
    return _scaled(pixels, value_range)


def _scaled(pixels: npt.NDArray[Any], value_range: tuple[float, float]) -> npt.NDArray[np.uint8]:
    low, high = value_range
    exact = pixels if pixels.dtype.kind == "f" else pixels.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        levels = (exact - low) / (high - low) * 255 + 0.5
        levels = np.nan_to_num(levels, copy=False, nan=0)
        return np.clip(levels, 0, 255.5, out=levels).astype(np.uint8)


def _visible(decoded: DecodedImage) -> npt.NDArray[Any]:
    """Return the samples, with black in the place of hidden ones."""
    samples = cast("npt.NDArray[Any]", decoded.pixels)
    if decoded.hidden is None:
        return samples
    hidden = decoded.hidden if samples.ndim == 2 else decoded.hidden[:, :, None]
    black = np.asarray(decoded.value_range[0]).astype(samples.dtype)
    return np.where(hidden, black, samples)


def _check_range(pixels: npt.NDArray[Any], value_range: tuple[float, float]) -> None:
    low, high = value_range
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        if low <= limits.min and limits.max <= high:
            return
    if not (low <= pixels.min() and pixels.max() <= high):  # True for NaN, too
        is_float = pixels.dtype.kind == "f"
        kind = "floating-point" if is_float else f"{pixels.dtype.itemsize * 8}-bit"
        raise UnreadableImageError(
            f"{kind} samples outside {low}..{high} have no defined brightness; set pool.range"
        )
