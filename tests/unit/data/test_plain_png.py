"""`read_plain_png` returns the same pixels as Pillow, or None."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from sample_images import bomb, encoded, pixels

from dgaal_cli.data.decoders.plain_png import read_plain_png

MAX = 64_000_000


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return np.asarray(image)


def read_or_fail(data: bytes) -> Image.Image:
    image = read_plain_png(data, max_pixels=MAX)
    assert image is not None
    return image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 17), (200, 3)])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_gray_and_color_files_equal_pillow(
    channels: int, size: tuple[int, int], level: int
) -> None:
    image = pixels(3, width=size[0], height=size[1], channels=channels)
    data = encoded(image, compress_level=level)
    np.testing.assert_array_equal(np.asarray(read_or_fail(data)), by_pillow(data))
    assert read_or_fail(data).mode == {1: "L", 3: "RGB"}[channels]


def test_chunks_without_effect_are_ignored() -> None:
    data = encoded(pixels(1), dpi=(72, 72))
    assert b"pHYs" in data
    np.testing.assert_array_equal(np.asarray(read_or_fail(data)), pixels(1))


def with_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "x")
    return encoded(pixels(1), pnginfo=info)


def with_orientation() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(pixels(1), exif=exif)


UNSUPPORTED = {
    "palette": encoded(Image.fromarray(pixels(1)).convert("P")),
    "alpha": encoded(Image.fromarray(pixels(1)).convert("RGBA")),
    "gray and alpha": encoded(Image.fromarray(pixels(1)).convert("LA")),
    "one bit": encoded(Image.fromarray(pixels(1)).convert("1")),
    "16 bit": encoded(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8))),
    "transparent color": encoded(Image.fromarray(pixels(1)), transparency=(1, 2, 3)),
    "text": with_text(),
    "orientation": with_orientation(),
    "bomb": bomb(),
    "jpeg": encoded(pixels(1), "JPEG"),
    "nothing": b"",
    "text file": b"text" * 20,
    "signature alone": encoded(pixels(1))[:8],
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_file_returns_none(name: str) -> None:
    assert read_plain_png(UNSUPPORTED[name], max_pixels=MAX) is None


def test_image_above_max_pixels_returns_none() -> None:
    assert read_plain_png(encoded(pixels(1)), max_pixels=63) is None


def test_truncated_file_returns_none() -> None:
    data = encoded(pixels(1))
    assert all(read_plain_png(data[:end], max_pixels=MAX) is None for end in range(len(data)))


def test_file_with_one_flipped_bit_returns_none() -> None:
    data = encoded(pixels(1))
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            assert read_plain_png(bytes(changed), max_pixels=MAX) is None, (place, bit)


def with_damaged_chunk(data: bytes, kind: bytes, generator: "np.random.Generator") -> bytes:
    """Damage the content of a chunk and correct its checksum."""
    start = data.index(kind)
    length = int.from_bytes(data[start - 4 : start])
    body = bytearray(data[start + 4 : start + 4 + length])
    for _ in range(int(generator.integers(1, 4))):
        body[int(generator.integers(len(body)))] = int(generator.integers(256))
    chunk = kind + bytes(body)
    checksum = struct.pack(">I", zlib.crc32(chunk))
    return data[:start] + chunk + checksum + data[start + 8 + length :]


def test_damage_with_valid_checksums_gives_pillows_pixels_or_none() -> None:
    generator = np.random.default_rng(0)
    same = 0
    for number in range(3_000):
        kind = b"IHDR" if number % 10 == 0 else b"IDAT"
        level = int(generator.integers(0, 10))
        data = with_damaged_chunk(encoded(pixels(number), compress_level=level), kind, generator)
        image = read_plain_png(data, max_pixels=10_000)
        if image is None:
            continue
        np.testing.assert_array_equal(np.asarray(image), by_pillow(data))
        same += 1
    assert same > 30
