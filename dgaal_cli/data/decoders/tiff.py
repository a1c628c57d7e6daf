"""TIFF: what Pillow reads, and with tifffile other depths, bands and compressions.

Pillow decodes every file that it can, so that pixels do not depend on the installed packages. It
reads the first page; on request, tifffile reads a further one, or the brightest sample of all. Of
more than three bands, unless they are RGB, the first three are shown as red, green and blue; of
two, the first.
"""

import io
from typing import TYPE_CHECKING, Any, cast

from dgaal_cli.data.decoders import pillow
from dgaal_cli.data.decoders.base import DecodedImage, Target, check_size
from dgaal_cli.data.decoders.deep_samples import equals, on_black, parse_nodata, turn
from dgaal_cli.data.decoders.further_pages import tiff_pages
from dgaal_cli.data.decoders.page_bytes import ALL_PAGES
from dgaal_cli.data.decoders.registry import missing_package, not_an_image
from dgaal_cli.data.unreadable import UnreadableImageError

if TYPE_CHECKING:
    import numpy.typing as npt

_COMPRESSION, _ORIENTATION, _NODATA = 259, 274, 42113
_BY_LIBTIFF = (*range(1, 9), 32773, 32946, 34925, 50000)
"""Compressions that Pillow decodes in every undamaged file: CCITT, LZW, JPEG, deflate, LZMA ..."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_MULTIPLIED, _SEPARATE = 1, 2
"""Values of the tag ExtraSamples: color is multiplied by alpha already, or is not."""


def decode(data: bytes, kind: str, target: Target) -> DecodedImage:
    """Decode the requested page: see ``base.Decoder``."""
    if target.page:
        return _further(data, target.page)
    try:
        return pillow.decode(data, kind, target)
    except UnreadableImageError as error:
        if error.reason != not_an_image().reason:
            raise
    except KeyError:  # a compression that Pillow does not know
        pass
    except OSError as error:  # a compression that Pillow is not built with, or damage
        if _compression(data) in _BY_LIBTIFF:
            raise error from None
    with _opened(data) as file:
        page = file.pages[0]
        check_size(page.imagewidth, page.imagelength)
        return _turned(_image(page), page)


def _further(data: bytes, number: int) -> DecodedImage:
    with _opened(data) as file:
        numbers = tiff_pages(data) if number == ALL_PAGES else [number]
        pages = [file.pages[each] for each in numbers]
        for page in pages:
            check_size(page.imagewidth, page.imagelength)
        image = _turned(_image(pages[0]), pages[0])
        for page in pages[1:]:
            image = _brighter(image, _turned(_image(page), page))
        return image


def _brighter(one: DecodedImage, other: DecodedImage) -> DecodedImage:
    """Return the brighter sample of two pages at each place.

    Raises:
        UnreadableImageError: The pages have different sizes or samples.
    """
    import numpy as np

    first, second = np.asarray(one.pixels), np.asarray(other.pixels)
    is_alike = first.shape == second.shape and first.dtype == second.dtype
    if not is_alike or one.is_inverted != other.is_inverted:
        raise UnreadableImageError("its pages have different sizes or samples")
    hidden = None
    if one.hidden is not None and other.hidden is not None:
        hidden = one.hidden & other.hidden
    choose = np.minimum if one.is_inverted else np.maximum
    return one._replace(pixels=choose(first, second), hidden=hidden)


def _opened(data: bytes) -> Any:
    try:
        import tifffile
    except ModuleNotFoundError:
        raise UnreadableImageError(
            missing_package("TIFF of these samples", "tifffile", "scientific")
        ) from None
    return tifffile.TiffFile(io.BytesIO(data))


def _compression(data: bytes) -> int:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        return int(cast("Any", image).tag_v2.get(_COMPRESSION, 1))


def _turned(image: DecodedImage, page: Any) -> DecodedImage:
    tag = page.tags.get(_ORIENTATION)
    orientation = int(tag.value) if tag is not None else 1
    return turn(image, orientation if 1 <= orientation <= 8 else 1)


def _image(page: Any) -> DecodedImage:
    import numpy as np

    samples = _bands_last(page)
    nodata_tag = page.tags.get(_NODATA)
    nodata = parse_nodata(nodata_tag.value) if nodata_tag is not None else None
    photometric = int(page.photometric)
    if samples.dtype.kind not in "uifb":
        raise UnreadableImageError("samples are complex numbers, which have no brightness")
    samples = samples.astype(np.uint8) if samples.dtype.kind == "b" else samples
    hidden = equals(samples, nodata)
    is_jpeg = "JPEG" in str(page.compression)
    if photometric == _PALETTE:
        samples = _colors(samples, page.colormap)
        return _decoded(samples, 8, (0, 255), hidden=hidden)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and not (
        photometric == _YCBCR and is_jpeg
    ):
        raise UnreadableImageError(f"colors of kind {page.photometric.name} are not read in TIFF")
    bits = samples.dtype.itemsize * 8 if is_jpeg else int(page.bitspersample)
    depth, value_range = _own_range(samples.dtype.kind, bits)
    samples = _visible_bands(samples, page, value_range[1])
    return _decoded(
        samples,
        depth,
        value_range,
        hidden=hidden,
        is_inverted=photometric == _WHITE_IS_ZERO,
    )


def _decoded(
    samples: "npt.NDArray[Any]",
    depth: int,
    value_range: tuple[float, float],
    *,
    hidden: "npt.NDArray[Any] | None",
    is_inverted: bool = False,
) -> DecodedImage:
    height, width = samples.shape[:2]
    return DecodedImage(samples, width, height, depth, value_range, is_inverted, hidden)


def _bands_last(page: Any) -> "npt.NDArray[Any]":
    """Return the samples (H, W) or (H, W, bands) of a page; of a volume, the first plane."""
    samples, axes = page.asarray(), str(page.axes)
    for axis in axes:
        if axis not in "YXS":
            samples = samples.take(0, axis=axes.index(axis))
            axes = axes.replace(axis, "")
    if axes.startswith("S"):
        samples = samples.transpose(1, 2, 0)
    return samples[:, :, 0] if samples.ndim == 3 and samples.shape[2] == 1 else samples


def _own_range(kind: str, bits: int) -> tuple[int, tuple[int, int]]:
    """Return the depth and range of samples, as for the files that Pillow reads."""
    if kind == "f":
        return 32, (0, 1)
    depth = min(bits - (kind == "i"), 16)
    return depth, (0, 2**depth - 1)


def _visible_bands(samples: "npt.NDArray[Any]", page: Any, top: int) -> "npt.NDArray[Any]":
    """Return one or three bands, composited on black."""
    if samples.ndim == 2:
        return samples
    extra = [int(one) for one in page.extrasamples]
    colors = samples.shape[2] - len(extra)
    if int(page.photometric) != _RGB and colors + len(extra) >= 3 and _SEPARATE not in extra:
        colors = 3 if _MULTIPLIED not in extra else colors
    shown = samples[:, :, :3] if colors >= 3 else samples[:, :, 0]
    if _SEPARATE in extra:
        alpha = samples[:, :, samples.shape[2] - len(extra) + extra.index(_SEPARATE)]
        shown = on_black(shown, alpha, top)
    return shown


def _colors(samples: "npt.NDArray[Any]", colormap: Any) -> "npt.NDArray[Any]":
    import numpy as np

    table = np.asarray(colormap)
    table = table >> 8 if table.max() > 255 else table  # some programs write 8 bits
    return np.moveaxis(table.astype(np.uint8)[:, samples], 0, -1)
