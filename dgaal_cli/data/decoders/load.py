"""Decode bytes to a Pillow image in mode L or RGB. Does not import numpy, for a fast start.

The first bytes of a file determine its format, never its name: see ``registry``.
"""

from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from dgaal_cli.data.decoders.base import (
    AS_STATED,
    TILES,
    DecodedImage,
    Framing,
    Rendering,
    Target,
    check_size,
)
from dgaal_cli.data.decoders.page_bytes import split_page
from dgaal_cli.data.decoders.registry import find_format, load_decoder, not_an_image
from dgaal_cli.data.unreadable import UnreadableImageError, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

RESIZE_RULE = "stretch-bilinear"

COLOR_GAP = 16
"""Difference of two channels, in levels, that rounding by JPEG never causes in a gray image."""

NO_SAMPLES = (float("nan"), float("nan"), float("nan"))
"""``Look.samples`` of an image of unsigned 8-bit samples."""

_MODES = {1: "L", 3: "RGB"}
_T = TypeVar("_T")


class Picture(NamedTuple):
    """An image of uint8 samples."""

    image: "Image.Image"
    """Mode L or RGB, upright."""
    width: int
    """Width of the upright original, in pixels."""
    height: int
    """Height of the upright original, in pixels."""


class Look(NamedTuple):
    """What a survey needs of an image."""

    is_color: bool
    """Whether it has real color, not only three equal channels."""
    width: int
    """Width of the upright original, in pixels."""
    height: int
    """Height of the upright original, in pixels."""
    samples: tuple[float, float, float] = NO_SAMPLES
    """Lowest and highest sample, and that of full brightness by the file's own range; NaN if the
    samples are unsigned 8-bit."""
    reason: str = ""
    """Why the image has no defined brightness without a range; else empty."""
    has_pages: bool = False
    """Whether the file has pages or frames after the first, which are not read."""


def load_picture(data: bytes, target: Target) -> Picture:
    """Decode one image and fit it to ``target``.

    The caller sets the warning filters: see ``silence_decoders``.

    Raises:
        UnreadableImageError: The bytes cannot be decoded.
    """

    def fit(decoded: DecodedImage) -> Picture:
        image = _to_image(decoded, target.rendering)
        return Picture(_fitted(image, target), decoded.width, decoded.height)

    return _decode(data, target, fit)


def look_at(data: bytes, target: Target) -> Look:
    """Decode one image, and look for color in it at the side of ``target``.

    Raises:
        UnreadableImageError: See ``load_picture``.
    """
    look = _decode(data, target, lambda decoded: _look(decoded, target))
    kind = find_format(data)
    return look._replace(has_pages=kind is not None and _has_pages(data, kind.name))


def _decode(data: bytes, target: Target, use: "Callable[[DecodedImage], _T]") -> _T:
    """Decode one image and return what ``use`` makes of it."""
    if not data:
        raise UnreadableImageError("empty file")
    data, page = split_page(data)
    kind = find_format(data)
    if kind is None:
        raise not_an_image()
    if page and kind.name not in ("TIFF", "DICOM"):
        raise UnreadableImageError(f"pages of {kind.name} are not read")
    try:
        decoded = load_decoder(kind)(data, kind.name, target._replace(page=page))
        check_size(decoded.width, decoded.height)
        return use(decoded)
    except Exception as error:  # noqa: BLE001 - decoders raise many types on hostile bytes
        raise UnreadableImageError(describe(error)) from None


def _has_pages(data: bytes, kind: str) -> bool:
    from dgaal_cli.data.decoders.further_pages import has_further_pages

    try:
        return has_further_pages(data, kind)
    except Exception:  # noqa: BLE001 - the first page is readable, whatever follows
        return False


def stretch(image: "Image.Image", side: int) -> "Image.Image":
    """Stretch to a square of ``side`` pixels: antialiased bilinear, ``RESIZE_RULE``."""
    if image.size == (side, side):
        return image
    from PIL import Image

    return image.resize((side, side), Image.Resampling.BILINEAR)


def frame_picture(image: "Image.Image", framing: Framing) -> "Image.Image":
    """Return an RGB square of an image (mode L or RGB), resized with antialiasing.

    A share of 1 or less cuts out the center before the resizing, which is the same as to resize the
    shorter side to ``side / share`` pixels and then to cut out the center.
    """
    from PIL import Image

    image = with_channels(image, 3)
    box = None
    if framing.share:
        edge = min(image.size) * framing.share
        left, top = ((length - edge) / 2 for length in image.size)
        box = (left, top, left + edge, top + edge)
    side = framing.side
    return image.resize((side, side), Image.Resampling[framing.interpolation.upper()], box)


def with_channels(image: "Image.Image", channels: int | None) -> "Image.Image":
    """Convert a gray or color image (mode L or RGB) to 1 or 3 channels."""
    mode = image.mode if channels is None else _MODES[channels]
    return image if image.mode == mode else image.convert(mode)


def tile_picture(image: "Image.Image", framing: Framing) -> "Image.Image":
    """Return the whole image and its quarters as ``TILES`` squares, one below the other."""
    from PIL import Image

    stretched = framing._replace(share=0)
    width, height = image.size
    right, low = width // 2, height // 2
    across, down = width - right, height - low  # at least one pixel
    boxes = [(x, y, x + across, y + down) for y in (0, low) for x in (0, right)]
    views = [frame_picture(part, stretched) for part in (image, *map(image.crop, boxes))]
    sheet = Image.new("RGB", (framing.side, framing.side * TILES))
    for number, view in enumerate(views):
        sheet.paste(view, (0, framing.side * number))
    return sheet


def silence_decoders() -> None:
    """Set the warning filters: a decompression bomb is an error, other warnings are ignored."""
    import warnings

    from PIL import Image

    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _look(decoded: DecodedImage, target: Target) -> Look:
    width, height = decoded.width, decoded.height
    if hasattr(decoded.pixels, "getbands"):
        return Look(_is_color(_to_image(decoded), target.side), width, height)
    from dgaal_cli.data.decoders.levels import is_eight_bit, range_reason, spread

    if is_eight_bit(decoded) or decoded.is_windowed:
        return Look(_is_color(_to_image(decoded), target.side), width, height)
    low, high = spread(decoded, target.percentiles)
    # Dark colors are seen only in the image's own range.
    own = Rendering((low, high) if low < high else (0, 1))
    is_color = _is_color(_to_image(decoded, own), target.side)
    samples = (low, high, decoded.value_range[1])
    return Look(is_color, width, height, samples, range_reason(decoded))


def _to_image(decoded: DecodedImage, rendering: Rendering = AS_STATED) -> "Image.Image":
    pixels = decoded.pixels
    if hasattr(pixels, "getbands"):  # isinstance needs the import of the class, ten times slower
        return cast("Image.Image", pixels)
    from PIL import Image

    from dgaal_cli.data.decoders.levels import brightness

    if decoded.channels not in _MODES:
        raise UnreadableImageError(f"{decoded.channels} channels; dgaal reads 1 or 3")
    levels = brightness(decoded, rendering)
    return Image.fromarray(levels[:, :, 0] if levels.shape[2:] == (1,) else levels)


def _is_color(image: "Image.Image", side: int | None) -> bool:
    if image.mode == "L":
        return False
    from PIL import ImageChops

    red, green, blue = (image if side is None else stretch(image, side)).split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    lowest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return any(ImageChops.subtract(highest, lowest).histogram()[COLOR_GAP + 1 :])


def _fitted(image: "Image.Image", target: Target) -> "Image.Image":
    if target.max_pixels is not None:
        image = _shrink(image, target.max_pixels)
    if target.framing is not None:
        make = tile_picture if target.has_tiles else frame_picture
        return make(image, target.framing)
    image = with_channels(image, target.channels)
    return image if target.side is None else stretch(image, target.side)


def _shrink(image: "Image.Image", max_pixels: int) -> "Image.Image":
    factor = 1
    while (image.width // factor) * (image.height // factor) > max_pixels:
        factor += 1
    return image if factor == 1 else image.reduce(factor)
