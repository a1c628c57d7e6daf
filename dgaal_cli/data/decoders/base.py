"""What a decoder of an image format takes and returns; free of numpy and dataclasses.

Decoder processes import this file, and importing dataclasses would cost a fifth of their start.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from dgaal_cli.data.unreadable import UnreadableImageError

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

MAX_PIXELS = 64_000_000
"""Larger images are refused, before they are unpacked."""
TOO_LARGE = f"more than {MAX_PIXELS // 1_000_000} megapixels"
"""Reason of an image that is refused."""


class Target(NamedTuple):
    """What the pixels are for. A decoder may ignore it, or decode fewer pixels because of it."""

    side: int | None = None
    """The image will be stretched to a square of this side in pixels; None keeps the size."""
    channels: int | None = None
    """1 gray, 3 color; None keeps what the image has."""
    max_pixels: int | None = None
    """A larger image will be shrunk to about this many pixels."""
    reduces: bool = False
    """Whether a JPEG may be decoded at a fraction of its size: see ``pillow.REDUCING_GAP``."""


class DecodedImage(NamedTuple):
    """One image, upright, with the samples of its file."""

    pixels: "Image.Image | npt.NDArray[Any]"
    """A Pillow image of mode L or RGB, or an array of shape (H, W) or (H, W, 3) of integers or
    floating-point numbers. Pillow images are for uint8 samples: they need no numpy."""
    width: int
    """Of the whole image, in pixels; larger than ``pixels`` where a decoder reduced it."""
    height: int
    """Of the whole image, in pixels."""
    depth: int = 8
    """Bits per sample that carry a value."""
    value_range: tuple[float, float] = (0, 255)
    """Lowest and highest meaningful value of a sample: black and full brightness."""

    @property
    def channels(self) -> int:
        """1 gray, 3 color."""
        shape = getattr(self.pixels, "shape", None)
        if shape is None:
            return len(cast("Image.Image", self.pixels).getbands())
        return shape[2] if len(shape) == 3 else 1


class Decoder(Protocol):
    """Turns the bytes of one file into an image; a function will do."""

    def __call__(self, data: bytes, kind: str, target: Target) -> DecodedImage:
        """Decode one image.

        Args:
            data: The file, recognized by its first bytes as ``kind``.
            kind: Name of the format in ``registry.FORMATS``.
            target: What the pixels are for.

        Raises:
            Exception: Whatever is wrong with the bytes; it becomes the image's reason.
        """
        ...


def check_size(width: int, height: int) -> None:
    """Refuse an image that is too large; a decoder calls this before it unpacks pixels.

    Raises:
        UnreadableImageError: It has more than ``MAX_PIXELS`` pixels.
    """
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(TOO_LARGE)
