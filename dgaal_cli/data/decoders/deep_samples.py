"""Samples of which Pillow's conversion to 8 bits is wrong or loses range.

These are samples of more than 8 bits, signed, inverted, or with pixels that the file declares as
transparent or as without data. Pillow's own conversion clips 16 bits at 255, takes 12 bits for 16,
does not invert 16-bit WhiteIsZero, and ignores a transparent value of 2, 4 or 16 bits.
"""

import io
import math
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from dgaal_cli.data.decoders.base import DecodedImage
from dgaal_cli.data.decoders.registry import not_an_image

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

_PHOTOMETRIC, _BITS, _SAMPLE_FORMAT, _NODATA = 262, 258, 339, 42113
"""Tags of TIFF; the last is GDAL's."""
_SIGNED, _FLOAT = 2, 3
"""Values of the tag SampleFormat."""
_ORIENTATION, _PLANAR = 274, 284
_PLANES = 2
"""Value of the tag PlanarConfiguration: one plane for each channel."""
_STORED = {
    "I;16": "<u2",
    "I;16B": ">u2",
    "I;16S": "<i2",
    "I;16BS": ">i2",
    "I;32N": "<u4",
    "I;32S": "<i4",
    "I;32BS": ">i4",
    "F;32F": "<f4",
    "F;32BF": ">f4",
}
"""Pillow's raw mode of whole samples -> type of the bytes in the file."""
_LOW_ORDER = {"16L": "16B", "16B": "16L", "16N": "16B"}
"""Pillow keeps the high byte of 16-bit color: the byte order that yields the low byte instead.

Native order is little-endian on all processors that dgaal is built for.
"""
_GRAY_ALPHA = "LA;16B"


class Header(NamedTuple):
    """What the header of a file says of its samples."""

    depth: int
    value_range: tuple[float, float]
    dtype: str = ""
    """Type of the samples, if it differs from the one that Pillow names."""
    is_inverted: bool = False
    nodata: float | tuple[int, ...] | None = None
    """Value of pixels without data, one for all channels or one a channel."""
    color: str = ""
    """Arrangement of 16-bit color or gray and alpha, as in ``_raw_mode``; else empty."""


def read_header(image: "Image.Image") -> Header | None:
    """Return the header of an opened image that is not loaded; None if Pillow's pixels are right.

    A transparent value of 2 or 4 bits is corrected in ``image.info``.

    Raises:
        UnreadableImageError: Pillow cannot read the samples.
    """
    if image.format == "TIFF":
        return _tiff_header(image)
    raw = _raw_mode(image)
    if image.format == "PNG":
        key = image.info.get("transparency")
        if raw in ("L;2", "L;4") and isinstance(key, int):
            image.info["transparency"] = key * (85 if raw == "L;2" else 17)
        if raw in ("RGB;16B", "RGBA;16B", _GRAY_ALPHA):
            return Header(16, (0, 65535), nodata=key, color=raw)
        if image.mode.startswith("I;16"):
            return Header(16, (0, 65535), nodata=key)
    if image.mode.startswith("I"):
        return Header(16, (0, 65535))
    return Header(32, (0, 1)) if image.mode == "F" else None


def read_samples(image: "Image.Image", header: Header, data: bytes) -> DecodedImage:
    """Return the samples of a loaded image.

    Args:
        image: Loaded image.
        header: Of the same image.
        data: The file, which 16-bit color is read from again.
    """
    import numpy as np

    hidden: npt.NDArray[Any] | None = None
    samples: npt.NDArray[Any] = np.asarray(image)
    if header.color:
        samples, alpha = _join_bytes(samples, header.color, data)
        hidden = equals(samples, header.nodata)
        if alpha is not None and "a" not in header.color:  # "a": multiplied by alpha already
            samples = on_black(samples, alpha, 65535)
    else:
        if header.dtype:
            samples = samples.astype(np.dtype(header.dtype), casting="unsafe", copy=False)
        hidden = equals(samples, header.nodata)
        if image.mode not in ("L", "RGB") and samples.dtype == np.uint8:
            samples = np.asarray(image.convert("RGB"))
    height, width = samples.shape[:2]
    return DecodedImage(
        samples, width, height, header.depth, header.value_range, header.is_inverted, hidden
    )


def read_stored(image: "Image.Image", header: Header, data: bytes) -> DecodedImage | None:
    """Return gray samples of a TIFF that are stored as they are; None if they are not.

    Pillow would copy them several times.

    Args:
        image: Opened image, not loaded.
        header: Of the same image.
        data: The file.
    """
    import numpy as np

    tiles: Any = getattr(image, "tile", None) or ()
    dtype = _STORED.get(_raw_mode(image))
    if image.format != "TIFF" or header.color or dtype is None:
        return None
    width, height = image.size
    row_bytes = width * np.dtype(dtype).itemsize
    start = expected = tiles[0].offset
    row = 0
    for tile in tiles:
        left, top, right, low = tile.extents
        is_next = (left, top, right, tile.offset) == (0, row, width, expected)
        if tile.codec_name != "raw" or not is_next or tile.args[1] != 0:
            return None
        expected, row = expected + (low - top) * row_bytes, low
    if row != height or expected > len(data):
        return None
    stored: npt.NDArray[Any] = np.frombuffer(data, dtype, width * height, start)
    samples = stored.reshape(height, width)
    orientation = int(cast("Any", image).tag_v2.get(_ORIENTATION, 1))
    decoded = DecodedImage(
        samples,
        width,
        height,
        header.depth,
        header.value_range,
        header.is_inverted,
        equals(samples, header.nodata),
    )
    return turn(decoded, orientation if 1 <= orientation <= 8 else 1)


def turn(decoded: DecodedImage, orientation: int) -> DecodedImage:
    """Rotate and mirror an image of samples by its EXIF orientation, 1..8."""
    if orientation == 1:
        return decoded
    pixels = _turned(cast("npt.NDArray[Any]", decoded.pixels), orientation)
    hidden = None if decoded.hidden is None else _turned(decoded.hidden, orientation)
    height, width = pixels.shape[:2]
    return decoded._replace(pixels=pixels, hidden=hidden, width=width, height=height)


def _turned(array: "npt.NDArray[Any]", orientation: int) -> "npt.NDArray[Any]":
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array[:, ::-1] if orientation in (2, 3, 6, 7) else array


def _tiff_header(image: "Image.Image") -> Header | None:
    tags: Any = getattr(image, "tag_v2", {})
    bits: int = max(tags.get(_BITS, (1,)))
    kind: int = tags.get(_SAMPLE_FORMAT, (1,))[0]
    is_white_zero: bool = tags.get(_PHOTOMETRIC) == 0
    nodata = parse_nodata(tags.get(_NODATA))
    raw = _raw_mode(image)
    if bits > 8 and tags.get(_PLANAR) == _PLANES and (len(raw) == 1 or image.mode == "RGBA"):
        # Pillow takes the bytes of a plane for samples of 8 bits, or loses low bytes beside alpha.
        raise not_an_image()
    if image.mode in ("RGB", "RGBA") and raw[-3:] in _LOW_ORDER:
        return Header(16, (0, 65535), nodata=nodata, color=raw)
    if image.mode.startswith(("I", "F")):
        dtype, high = _deep_gray(bits, kind)
        depth = 32 if kind == _FLOAT else high.bit_length()
        return Header(depth, (0, high), dtype, is_white_zero, nodata)
    if image.mode == "L" and kind == _SIGNED:
        return Header(7, (0, 127), "int8", nodata=nodata)
    if nodata is None or bits != 8 or image.mode not in ("L", "P", "RGB"):
        return None
    # Pillow has inverted the samples, but not the value.
    nodata = 255 - nodata if is_white_zero and image.mode == "L" else nodata
    return Header(8, (0, 255), nodata=nodata)


def _deep_gray(bits: int, kind: int) -> tuple[str, int]:
    """Return the type and the max. value of gray samples of more than 8 bits."""
    if kind == _FLOAT:
        return "", 1
    if kind == _SIGNED:
        return ("int16", 2**15 - 1) if bits == 16 else ("int32", 2**16 - 1)
    return ("uint32", 2**16 - 1) if bits == 32 else ("uint16", 2**bits - 1)


def parse_nodata(text: object) -> float | None:
    """Return the number in a tag of GDAL; None if it is none."""
    try:
        return float(str(text).strip("\0 ")) if text else None
    except ValueError:
        return None


def _raw_mode(image: "Image.Image") -> str:
    """Return the arrangement of samples in the file, in Pillow's words; empty if unknown."""
    tiles: Any = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments: Any = tiles[0][3]
    if isinstance(arguments, tuple):
        return str(next(iter(cast("tuple[Any, ...]", arguments)), ""))
    return arguments if isinstance(arguments, str) else ""


def _join_bytes(
    high: "npt.NDArray[Any]", raw: str, data: bytes
) -> "tuple[npt.NDArray[Any], npt.NDArray[Any] | None]":
    """Return 16-bit color or gray, and its alpha channel."""
    import numpy as np

    if raw == _GRAY_ALPHA:  # Pillow takes its four bytes for four channels
        pair = _decode_as(raw, "RGBA", data).astype(np.uint16)
        return pair[:, :, 0] << 8 | pair[:, :, 1], pair[:, :, 2] << 8 | pair[:, :, 3]
    order = raw[-3:]
    if "a" in raw:  # without Pillow's division by alpha
        high = _decode_as("RGBa", "RGBA", data)
    swapped = _decode_as(order, _LOW_ORDER[order], data, also=("RGBa", "RGBA"))
    samples = high.astype(np.uint16) << 8 | swapped
    return samples[:, :, :3], samples[:, :, 3] if samples.shape[2] == 4 else None


def _decode_as(
    old: str, new: str, data: bytes, also: tuple[str, str] = ("", "")
) -> "npt.NDArray[Any]":
    """Decode a file again with other raw modes: those of its tiles, with ``old`` replaced."""
    import numpy as np
    from PIL import Image

    def changed(args: Any) -> Any:
        if isinstance(args, tuple):
            parts = cast("tuple[Any, ...]", args)
            return (changed(parts[0]), *parts[1:])
        return args.replace(old, new).replace(*also)

    with Image.open(io.BytesIO(data), formats=("PNG", "TIFF")) as image:
        opened = cast("Any", image)
        opened.tile = [tile._replace(args=changed(tile.args)) for tile in opened.tile]
        return np.asarray(image)


def on_black(
    samples: "npt.NDArray[Any]", alpha: "npt.NDArray[Any]", top: int
) -> "npt.NDArray[Any]":
    """Composite samples (H, W) or (H, W, 3) on black.

    Args:
        samples: Not multiplied by alpha.
        alpha: Shape (H, W), from 0 to ``top``.
        top: Value of an opaque pixel.
    """
    import numpy as np

    if samples.dtype.kind == "f":
        share = alpha if samples.ndim == 2 else alpha[:, :, None]
        return samples * share
    wide = alpha.astype(np.uint64)
    share = wide if samples.ndim == 2 else wide[:, :, None]
    return ((samples * share + top // 2) // top).astype(samples.dtype)


def equals(
    samples: "npt.NDArray[Any]", value: float | tuple[int, ...] | None
) -> "npt.NDArray[Any] | None":
    """Return which pixels have a value in all channels."""
    import numpy as np

    if value is None:
        return None
    if isinstance(value, float) and samples.dtype.kind == "f":
        value = float(samples.dtype.type(value))
    is_nan = isinstance(value, float) and math.isnan(value)
    found: Any = np.isnan(samples) if is_nan else np.equal(samples, value)
    return found.all(axis=2) if found.ndim == 3 else found
