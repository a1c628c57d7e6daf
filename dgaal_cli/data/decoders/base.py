"""Interface of a decoder of an image format. Imports neither numpy nor dataclasses.

Decoder processes import this file, and importing dataclasses would add a fifth to their start time.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from dgaal_cli.data.unreadable import UnreadableImageError

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded."""
TILES = 5
"""Squares of one image, if it is cut into tiles."""
TOO_LARGE = f"more than {MAX_PIXELS // 1_000_000} megapixels"
"""Reason of an image that is too large."""


class Rendering(NamedTuple):
    """How the samples of a file become levels; the same for all images of a pool."""

    value_range: tuple[float, float] | None = None
    """Samples that are black and full brightness; those outside are clipped. Only for images of
    which the samples are not unsigned 8-bit. None: as the file states."""


AS_STATED = Rendering()
"""The brightness that the file itself states."""


class Target(NamedTuple):
    """Requested properties of the pixels. A decoder may ignore them, or decode fewer pixels."""

    side: int | None = None
    """The image will be stretched to a square of this side in pixels; None keeps the size."""
    channels: int | None = None
    """1 gray, 3 color; None keeps the image's channels."""
    max_pixels: int | None = None
    """A larger image will be shrunk to about this many pixels."""
    reduces: bool = False
    """Whether a JPEG may be decoded at a fraction of its size: see ``pillow.REDUCING_GAP``."""
    framing: "Framing | None" = None
    """How the image becomes a color square; None stretches it to ``side``."""
    has_tiles: bool = False
    """Whether ``TILES`` squares are made, one below the other: the whole image, stretched, and its
    four quarters. Needs ``framing``, of which side and interpolation are used."""
    rendering: Rendering = AS_STATED
    """How samples become levels."""
    percentiles: tuple[float, float] = (0, 100)
    """What a survey reports as lowest and highest sample."""
    page: int = 0
    """Page of a TIFF or frame of a DICOM file, from 0; ``page_bytes.ALL_PAGES``: the brightest
    sample of all."""


class Framing(NamedTuple):
    """How an image of any shape becomes the square that an encoder takes."""

    side: int
    """Side of the square in pixels."""
    share: float = 0
    """Side of the central square that is used, as a share of the image's shorter side, above 0 and
    at most 1; 0 stretches the whole image."""
    interpolation: str = "bilinear"
    """``"bilinear"`` or ``"bicubic"``."""


class DecodedImage(NamedTuple):
    """One upright image, with the samples of its file."""

    pixels: "Image.Image | npt.NDArray[Any]"
    """A Pillow image of mode L or RGB, or an array of shape (H, W) or (H, W, 3) of integers or
    floating-point numbers. Pillow images are for uint8 samples and do not need numpy."""
    width: int
    """Width of the original in pixels; larger than that of ``pixels`` if a decoder reduced it."""
    height: int
    """Height of the original in pixels."""
    depth: int = 8
    """Significant bits per sample."""
    value_range: tuple[float, float] = (0, 255)
    """Min. and max. value of a sample: black and full brightness."""
    is_inverted: bool = False
    """Whether the min. value is full brightness and the max. value black (WhiteIsZero)."""
    hidden: "npt.NDArray[Any] | None" = None
    """Pixels without data or fully transparent, which are black: bool, shape (H, W)."""
    is_windowed: bool = False
    """Whether ``value_range`` is what a person or the device wants to see: samples outside are
    clipped, and the image is no reason to propose a range."""

    @property
    def channels(self) -> int:
        """1 gray, 3 color."""
        shape = getattr(self.pixels, "shape", None)
        if shape is None:
            return len(cast("Image.Image", self.pixels).getbands())
        return shape[2] if len(shape) == 3 else 1


class Decoder(Protocol):
    """A function that decodes the bytes of one file."""

    def __call__(self, data: bytes, kind: str, target: Target) -> DecodedImage:
        """Decode one image.

        Args:
            data: The file, recognized by its first bytes as ``kind``.
            kind: Name of the format in ``registry.FORMATS``.
            target: Requested properties of the pixels.

        Raises:
            Exception: Any error in the bytes; it becomes the image's reason.
        """
        ...


def check_size(width: int, height: int) -> None:
    """Refuse an image that is too large; a decoder calls this before it decodes pixels.

    Raises:
        UnreadableImageError: The image has more than ``MAX_PIXELS`` pixels.
    """
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(TOO_LARGE)
