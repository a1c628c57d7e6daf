"""JPEG XL through imagecodecs; size and depth come from the header (ISO/IEC 18181-1)."""

from typing import Any, NamedTuple

import imagecodecs

from dgaal_cli.data.decoders.base import DecodedImage, Target, check_size
from dgaal_cli.data.decoders.deep_samples import on_black
from dgaal_cli.data.unreadable import UnreadableImageError

_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, by the value of the field less 1."""


class Header(NamedTuple):
    """Size and depth of an image, not turned upright."""

    width: int
    height: int
    bits: int
    is_float: bool


def decode(data: bytes, kind: str, target: Target) -> DecodedImage:  # noqa: ARG001 - not needed
    """Decode the first frame, upright: see ``base.Decoder``."""
    header = read_header(data)
    check_size(header.width, header.height)
    samples: Any = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)
    depth, top = (32, 1) if header.is_float else (header.bits, 2**header.bits - 1)
    channels = samples.shape[2] if samples.ndim == 3 else 1
    if channels in (2, 4):
        colors = samples[:, :, 0] if channels == 2 else samples[:, :, :3]
        samples = on_black(colors, samples[:, :, -1], top)
    height, width = samples.shape[:2]
    return DecodedImage(samples, width, height, depth, (0, top))


def read_header(data: bytes) -> Header:
    """Read the header of a codestream, bare or in a container.

    Raises:
        UnreadableImageError: The header is damaged, or has a preview image.
    """
    bits = _Bits(_codestream(data)[2:])
    height, width = _read_size(bits)
    if bits.take(1):  # all values are defaults
        return Header(width, height, 8, is_float=False)
    if bits.take(1):
        bits.take(3)  # orientation
        if bits.take(1):
            _read_size(bits)  # intrinsic size
        if bits.take(1):
            raise UnreadableImageError("JPEG XL with a preview image is not read")
        if bits.take(1):
            _skip_animation(bits)
    is_float = bool(bits.take(1))
    usual = (32, 16, 24) if is_float else (8, 10, 12)
    return Header(width, height, bits.choose(*((one, 0) for one in usual), (1, 6)), is_float)


def _codestream(data: bytes) -> bytes:
    """Return the start of the codestream."""
    at = 0
    while not data.startswith(_CODESTREAM) and at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        if kind in (b"jxlc", b"jxlp"):
            start = at + head + 4 * (kind == b"jxlp")  # a part begins with its number
            data = data[start : start + 64]
            break
        if 0 < size < head or size == 0:
            break
        at += size
    if not data.startswith(_CODESTREAM):
        raise UnreadableImageError("damaged image: no JPEG XL codestream")
    return data[:64]


class _Bits:
    """Reads the fields of a header, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Read an unsigned number of ``count`` bits."""
        self._left -= count
        if self._left < 0:
            raise UnreadableImageError("damaged image: the header is incomplete")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """Read which of four offsets and numbers of bits a number has, and the number."""
        offset, count = choices[self.take(2)]
        return offset + self.take(count)


def _read_size(bits: _Bits) -> tuple[int, int]:
    is_small = bool(bits.take(1))
    height = _read_length(bits, is_small=is_small)
    ratio = bits.take(3)
    if not ratio:
        return height, _read_length(bits, is_small=is_small)
    across, down = _RATIOS[ratio - 1]
    return height, height * across // down


def _read_length(bits: _Bits, *, is_small: bool) -> int:
    return 8 * (1 + bits.take(5)) if is_small else bits.choose((1, 9), (1, 13), (1, 18), (1, 30))


def _skip_animation(bits: _Bits) -> None:
    bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))
    bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
    bits.choose((0, 0), (0, 3), (0, 16), (0, 32))
    bits.take(1)
