"""Encoded bytes to a Pillow image in mode L or RGB; free of numpy, so that decoders start fast.

What is allowed is decided by content, never by name: JPEG, PNG, WEBP, BMP, TIFF, GIF.
Transparent pixels are laid over black. 16-bit samples keep their high byte, 32-bit integers count
as 16-bit, floating-point samples as 0..1. Of an animation the first frame counts.
"""

import io
from typing import TYPE_CHECKING, NamedTuple

from dgaal_cli.data.decoders.plain_png import read_plain_png
from dgaal_cli.data.unreadable import UnreadableImageError, describe

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MAX_PIXELS = 64_000_000
RESIZE_RULE = "stretch-bilinear"

REDUCING_GAP = 3
"""Where asked, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size while this many times the wanted
side remains.

Measured on 2,000 photographs of 224x224 (Imagenette) at side 32 against a full decode: mean
difference 0.35 of 255 levels, largest 10, at 0.6 of the CPU time. With a gap of 1 it is 1.2 and 22.
Scores move with the pixels, so nothing is reduced unless asked for.
"""

_MODES = {1: "L", 3: "RGB"}
_ORIENTATION = 0x0112
_CARRIES_ORIENTATION = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")


class Picture(NamedTuple):
    """A decoded image. No dataclass: importing those costs a decoder a fifth of its start."""

    image: "Image.Image"
    """Mode L or RGB, upright."""
    width: int
    """Of the upright original, in pixels."""
    height: int
    """Of the upright original, in pixels."""


def load_picture(
    data: bytes,
    *,
    channels: int | None = None,
    side: int | None = None,
    max_pixels: int | None = None,
    reduces: bool = False,
) -> Picture:
    """Decode one image.

    The caller decides about Python warnings: see ``silence_decoders``.

    Args:
        data: Encoded file.
        channels: 1 gray, 3 color; None keeps what the image has.
        side: Stretch to a square of this side in pixels; None keeps the size.
        max_pixels: Shrink larger images, keeping their shape, to about this many pixels.
        reduces: Whether a JPEG may be decoded at a fraction of its size: see ``REDUCING_GAP``.

    Raises:
        UnreadableImageError: Whatever is wrong with the bytes.
    """
    if not data:
        raise UnreadableImageError("empty file")
    try:
        plain = read_plain_png(data, max_pixels=MAX_PIXELS)
        if plain is not None:
            width, height = plain.size
            flat = _fitted(plain, channels, side, max_pixels)
            return Picture(image=flat, width=width, height=height)
        return _load(data, channels, side, max_pixels, reduces=reduces)
    except Exception as error:  # noqa: BLE001 - on hostile bytes decoders raise nearly anything
        raise UnreadableImageError(_reason(error)) from None


def stretch(image: "Image.Image", side: int) -> "Image.Image":
    """Stretch to a square of ``side`` pixels: antialiased bilinear, ``RESIZE_RULE``."""
    if image.size == (side, side):
        return image
    from PIL import Image

    return image.resize((side, side), Image.Resampling.BILINEAR)


def with_channels(image: "Image.Image", channels: int | None) -> "Image.Image":
    """Convert a gray or color image (mode L or RGB) to 1 or 3 channels."""
    mode = image.mode if channels is None else _MODES[channels]
    return image if image.mode == mode else image.convert(mode)


def silence_decoders() -> None:
    """Set this process's warning filters: a bomb warning is an error, all other chatter is lost."""
    import warnings

    from PIL import Image

    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _fitted(
    flat: "Image.Image", channels: int | None, side: int | None, max_pixels: int | None
) -> "Image.Image":
    if max_pixels is not None:
        flat = _shrink(flat, max_pixels)
    flat = with_channels(flat, channels)
    return flat if side is None else stretch(flat, side)


def _load(
    data: bytes,
    channels: int | None,
    side: int | None,
    max_pixels: int | None,
    *,
    reduces: bool,
) -> Picture:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if reduces and side is not None:
            image.draft(None, (side * REDUCING_GAP, side * REDUCING_GAP))
        elif max_pixels is not None:
            _ask_for_less(image, max_pixels)
        image.load()
        orientation = _orientation(image)
        if image.format == "TIFF" and image.size == (height, width):
            width, height = image.size  # Pillow turned it while loading
        flat = _turn(_plain(image), orientation)
        if orientation >= 5:
            width, height = height, width
        flat = _fitted(flat, channels, side, max_pixels)
        return Picture(image=flat, width=width, height=height)


def _ask_for_less(image: "Image.Image", max_pixels: int) -> None:
    """Let libjpeg decode at a fraction of the size where the cap leaves no more."""
    if image.width * image.height > max_pixels:
        scale = (max_pixels / (image.width * image.height)) ** 0.5
        image.draft(None, (max(1, int(image.width * scale)), max(1, int(image.height * scale))))


def _shrink(image: "Image.Image", max_pixels: int) -> "Image.Image":
    factor = 1
    while (image.width // factor) * (image.height // factor) > max_pixels:
        factor += 1
    return image if factor == 1 else image.reduce(factor)


def _plain(image: "Image.Image") -> "Image.Image":
    """Return the image in mode L or RGB, whatever its file holds."""
    from PIL import Image

    if image.mode == "L" and "transparency" not in image.info:
        return image
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        is_gray = image.mode in ("1", "L", "LA", "La", "I;16")
        colored = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, colored).convert("L" if is_gray else "RGB")
    if image.mode.startswith(("I", "F")):
        return _eight_bit(image)
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bit(image: "Image.Image") -> "Image.Image":
    import numpy as np  # rare kinds of files only: it would double a decoder's start-up time
    from PIL import Image

    values = np.asarray(image)
    is_float = image.mode == "F"
    top = 1 if is_float else 65535
    if not bool(((values >= 0) & (values <= top)).all()):  # False for NaN, too
        kind = "floating-point" if is_float else "32-bit"
        raise UnreadableImageError(f"{kind} samples outside 0..{top} have no defined brightness")
    levels = values * 255 + 0.5 if is_float else values >> 8
    return Image.fromarray(levels.astype(np.uint8))


def _orientation(image: "Image.Image") -> int:
    """EXIF orientation, 1..8; damaged metadata counts as upright, for the pixels are sound."""
    if not any(key in image.info for key in _CARRIES_ORIENTATION):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - hostile metadata raises nearly anything
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turn(image: "Image.Image", orientation: int) -> "Image.Image":
    from PIL import Image

    turn = Image.Transpose
    methods = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    method = methods.get(orientation)
    return image if method is None else image.transpose(method)


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WEBP, BMP, TIFF or GIF image"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {MAX_PIXELS // 1_000_000} megapixels"
    return describe(error)
