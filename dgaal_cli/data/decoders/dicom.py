"""DICOM images: one frame, with rescaling, window, inversion and color space.

Gray samples are the rescaled ones (Hounsfield units of CT), so that ``pool.range`` refers to them.
Without it the window of the file gives the brightness, and without a window the range of the stored
bits.
"""

import io
from typing import TYPE_CHECKING, Any

import pydicom

from dgaal_cli.data.decoders.base import DecodedImage, Target, check_size
from dgaal_cli.data.decoders.page_bytes import ALL_PAGES
from dgaal_cli.data.unreadable import UnreadableImageError

if TYPE_CHECKING:
    import numpy.typing as npt


def decode(data: bytes, kind: str, target: Target) -> DecodedImage:  # noqa: ARG001 - not needed
    """Decode the requested frame: see ``base.Decoder``."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    if "PixelData" not in dataset:
        raise UnreadableImageError("DICOM without an image")
    width, height = int(dataset.Columns), int(dataset.Rows)
    check_size(width, height)
    stored = _frame(dataset, target.page)
    colors = str(dataset.PhotometricInterpretation)
    if colors == "PALETTE COLOR":
        return DecodedImage(_palette_levels(stored, dataset), width, height)
    if stored.ndim == 3:
        bits = int(dataset.BitsStored)
        return DecodedImage(stored, width, height, bits, (0, 2**bits - 1))
    if not colors.startswith("MONOCHROME"):
        raise UnreadableImageError(f"DICOM of color space {colors[:20]} is not read")
    frame = 0 if target.page == ALL_PAGES else target.page
    return _gray(dataset, stored, frame)._replace(is_inverted=colors == "MONOCHROME1")


def _frame(dataset: Any, number: int) -> "npt.NDArray[Any]":
    """Return samples (H, W) or, of color, RGB (H, W, 3)."""
    from pydicom.pixels.utils import pixel_array

    from dgaal_cli.data.decoders.dicom_codecs import add_codecs

    add_codecs()
    if number != ALL_PAGES:
        return pixel_array(dataset, index=number)
    if dataset.get("PerFrameFunctionalGroupsSequence"):
        raise UnreadableImageError("frames of own brightness have no brightest sample of all")
    frames = pixel_array(dataset)
    is_inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
    return frames.min(axis=0) if is_inverted else frames.max(axis=0)


def _palette_levels(stored: "npt.NDArray[Any]", dataset: Any) -> "npt.NDArray[Any]":
    """Return RGB levels; the palette has entries of 8 or 16 bits."""
    import numpy as np
    from pydicom.pixels.processing import apply_color_lut

    colors = apply_color_lut(stored, dataset)[:, :, :3]
    return (colors >> 8).astype(np.uint8) if colors.dtype.itemsize == 2 else colors


def _gray(dataset: Any, stored: "npt.NDArray[Any]", frame: int) -> DecodedImage:
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    height, width = stored.shape
    transform = _of_frame(dataset, "PixelValueTransformationSequence", frame)
    window = _of_frame(dataset, "FrameVOILUTSequence", frame)
    samples: npt.NDArray[Any] = apply_modality_lut(stored, transform)
    hidden = _padding(dataset, stored)
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    lowest = -(2 ** (bits - 1)) if is_signed else 0
    ends = apply_modality_lut(np.array([lowest, lowest + 2**bits - 1], stored.dtype), transform)
    own = (float(ends.min()), float(ends.max()))
    function = str(window.get("VOILUTFunction", "LINEAR"))
    if "VOILUTSequence" in window or ("WindowWidth" in window and function == "SIGMOID"):
        levels = apply_voi_lut(samples, window, prefer_lut="VOILUTSequence" in window)
        own = (float(levels.min()), float(levels.max())) if function == "SIGMOID" else _lut(window)
        return DecodedImage(levels, width, height, 16, own, hidden=hidden, is_windowed=True)
    if "WindowWidth" in window:
        own = _window(window, is_exact=function == "LINEAR_EXACT")
        return DecodedImage(samples, width, height, bits, own, hidden=hidden, is_windowed=True)
    return DecodedImage(samples, width, height, bits, own, hidden=hidden)


def _lut(window: Any) -> tuple[float, float]:
    """Return the range of the values of a lookup table, by its number of bits."""
    bits = int(window.VOILUTSequence[0].LUTDescriptor[2])
    return 0, 2**bits - 1


def _window(window: Any, *, is_exact: bool) -> tuple[float, float]:
    """Return the samples that are black and full brightness (PS3.3 C.11.2.1.2)."""
    center, width = (
        float(value[0] if hasattr(value, "__iter__") else value)
        for value in (window.WindowCenter, window.WindowWidth)
    )
    if not is_exact:
        center, width = center - 0.5, width - 1
    half = max(width, 1e-6) / 2
    return center - half, center + half


def _of_frame(dataset: Any, name: str, frame: int) -> Any:
    """Return where the attributes of a frame are: in its functional group or the file."""
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        sequence = dataset.get(groups)
        own = sequence[min(frame, len(sequence) - 1)] if sequence else None  # one is shared by all
        if own and name in own:
            return own[name].value[0]
    return dataset


def _padding(dataset: Any, stored: "npt.NDArray[Any]") -> "npt.NDArray[Any] | None":
    """Return the pixels outside of the acquired image; None if the file declares no value."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    return (stored >= low) & (stored <= high)
