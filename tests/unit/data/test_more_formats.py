"""AVIF, JPEG 2000, PNM, TGA, HEIC and JPEG XL: depths, transparency and orientation."""

import io

import numpy as np
import pytest
from PIL import Image
from sample_images import encoded, pixels

from dgaal_cli.data.decoders.registry import find_format
from dgaal_cli.data.images import UnreadableImageError, decode

DEEP = np.linspace(0, 65_535, 48 * 48).astype(np.uint16).reshape(48, 48)


def gray(data: bytes) -> np.ndarray:
    found = decode(data)
    assert found.shape[2] == 1
    return found[:, :, 0]


def pgm(samples: np.ndarray, top: int) -> bytes:
    height, width = samples.shape
    packed = samples.astype(">u2" if top > 255 else np.uint8).tobytes()
    return f"P5\n{width} {height}\n{top}\n".encode() + packed


@pytest.mark.parametrize("top", [15, 255, 1023, 4095, 65_535])
def test_pgm_is_scaled_by_its_largest_value(top: int) -> None:
    samples = (DEEP.astype(np.int64) * top // 65_535).astype(np.uint16)
    np.testing.assert_allclose(gray(pgm(samples, top)), samples * (255 / top), atol=1)
    assert gray(pgm(samples, top)).max() == 255


def test_pbm_text_is_read() -> None:
    assert gray(b"P1\n3 1\n1 0 1\n").tolist() == [[0, 255, 0]]


def test_16_bit_jpeg_2000_keeps_its_high_byte() -> None:
    data = encoded(Image.fromarray(DEEP), "JPEG2000")
    np.testing.assert_array_equal(gray(data), DEEP >> 8)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "TGA"])
def test_transparent_pixels_are_black(kind: str) -> None:
    image = np.full((16, 16, 4), 200, np.uint8)
    image[:, :8, 3] = 0
    image[:, 8:, 3] = 255
    found = decode(encoded(image, kind))
    assert found[:, :6].max() <= 3
    assert abs(found[:, 10:].astype(int) - 200).max() <= 3


def test_avif_is_turned_upright_once() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20] = 220
    exif = Image.Exif()
    exif[0x0112] = 6
    found = decode(encoded(image, "AVIF", exif=exif, quality=95))
    assert found.shape == (40, 20, 3)
    assert found[5].mean() > 200
    assert found[35].mean() < 20


def test_heic_is_as_the_plugin_turns_it() -> None:
    """In HEIC the orientation of EXIF is only information: the container rotates the image."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    image = np.zeros((64, 128, 3), np.uint8)
    image[:, :64] = 220
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(image, "HEIF", exif=exif, quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(decode(data), np.asarray(opened))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_jpeg_xl_of_each_depth_uses_all_levels(bits: int) -> None:
    codecs = pytest.importorskip("imagecodecs")
    samples = DEEP >> (16 - bits)
    samples = samples.astype(np.uint8) if bits == 8 else samples
    for options in ({}, {"usecontainer": True}):
        data = codecs.jpegxl_encode(samples, lossless=True, bitspersample=bits, **options)
        np.testing.assert_array_equal(gray(data), DEEP >> 8)


def test_jpeg_xl_alpha_is_composited_on_black_and_float_needs_0_to_1() -> None:
    codecs = pytest.importorskip("imagecodecs")
    image = np.full((8, 8, 4), 200, np.uint8)
    image[:, :4, 3] = 0
    image[:, 4:, 3] = 255
    found = decode(codecs.jpegxl_encode(image, lossless=True))
    assert (found[:, :4] == 0).all()
    assert (found[:, 4:] == 200).all()
    share = np.linspace(0, 1, 64).astype(np.float32).reshape(8, 8)
    np.testing.assert_allclose(
        gray(codecs.jpegxl_encode(share, lossless=True)), share * 255, atol=0.51
    )
    with pytest.raises(UnreadableImageError, match="no defined brightness"):
        decode(codecs.jpegxl_encode(share * 2, lossless=True))


@pytest.mark.parametrize("shape", [(8, 8), (7, 300), (300, 7), (1080, 1920), (256, 8)])
def test_jpeg_xl_header_has_the_size_of_the_image(shape: tuple[int, int]) -> None:
    codecs = pytest.importorskip("imagecodecs")
    from dgaal_cli.data.decoders.jpeg_xl import read_header

    data = codecs.jpegxl_encode(np.zeros(shape, np.uint8), effort=1)
    header = read_header(data)
    assert (header.height, header.width) == shape
    assert header.bits == 8


def test_text_and_icons_are_no_images() -> None:
    icon = io.BytesIO()
    Image.fromarray(pixels(1, height=16, width=16)).save(icon, "ICO")
    for data in (b"P7 is no PPM", b"Plain text", b"\0\0\0\0", icon.getvalue(), b"P5"):
        assert find_format(data) is None
