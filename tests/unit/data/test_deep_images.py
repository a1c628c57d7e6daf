"""Images of every depth become the right levels: none is clipped, wrapped or inverted."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from raw_images import png, tiff
from sample_images import encoded

from dgaal_cli.data.decoders import deep_samples
from dgaal_cli.data.images import UnreadableImageError, decode

VALUES = np.array([[0, 1, 255, 256], [4095, 4096, 40_000, 65_535]], np.uint16)


def levels(data: bytes) -> list[list[int]]:
    found = decode(data)
    assert found.shape[2] == 1 or (found == found[:, :, :1]).all()
    return found[:, :, 0].tolist()


def high_bytes(samples: np.ndarray) -> list[list[int]]:
    return (samples >> 8).tolist()


@pytest.mark.parametrize("key", [0, 255, 4095, 40_000, 65_535])
def test_16_bit_gray_png_with_a_transparent_value_keeps_all_other_levels(key: int) -> None:
    data = png(VALUES, depth=16, color=0, key=struct.pack(">H", key))
    assert levels(data) == np.where(key == VALUES, 0, VALUES >> 8).tolist()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_gray_value_is_black_at_each_depth(depth: int) -> None:
    top = 2**depth - 1
    samples = np.array([[0, top // 2, top - 1, top]], np.uint8)
    data = png(samples, depth=depth, color=0, key=struct.pack(">H", top))
    expected = samples.astype(int) * 255 // top
    assert levels(data) == np.where(samples == top, 0, expected).tolist()
    opaque = png(samples, depth=depth, color=0)
    assert levels(opaque) == expected.tolist()


def test_transparent_16_bit_color_is_compared_with_all_bits() -> None:
    samples = np.array([[[40_000, 40_000, 40_000], [40_001, 40_000, 40_000]]], np.uint16)
    data = png(samples, depth=16, color=2, key=struct.pack(">HHH", 40_001, 40_000, 40_000))
    assert decode(data).tolist() == [[[156] * 3, [0] * 3]]


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_alpha_is_composited_on_black(channels: int) -> None:
    samples = np.full((1, 3, channels), 60_000, np.uint16)
    samples[0, :, -1] = (65_535, 32_768, 0)
    found = decode(png(samples, depth=16, color={2: 4, 4: 6}[channels]))
    assert found[0, :, 0].tolist() == [60_000 >> 8, 30_000 >> 8, 0]


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_is_read_in_both_byte_orders(order: str) -> None:
    assert levels(tiff(VALUES, order=order)) == high_bytes(VALUES)
    color = np.stack([VALUES, VALUES[::-1], VALUES[:, ::-1]], axis=2)
    np.testing.assert_array_equal(decode(tiff(color, order=order)), color >> 8)


@pytest.mark.parametrize("depth", [8, 16])
def test_white_is_zero_is_inverted(depth: int) -> None:
    samples = VALUES if depth == 16 else (VALUES >> 8).astype(np.uint8)
    assert levels(tiff(samples, white_is_zero=True)) == (255 - (VALUES >> 8)).tolist()


def test_float_white_is_zero_is_inverted() -> None:
    samples = np.array([[0, 0.25, 1]], np.float32)
    assert levels(tiff(samples, white_is_zero=True)) == [[255, 191, 0]]


def test_packed_12_bit_tiff_uses_all_levels() -> None:
    samples = np.array([[0, 15, 16, 2048], [4095, 255, 1000, 4080]], np.uint16)
    assert levels(tiff(samples, bits=12)) == (samples >> 4).tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_signed_samples_without_negative_values_use_the_positive_range(dtype: type) -> None:
    top = np.iinfo(dtype).max
    samples = np.array([[0, top // 2, top]], dtype)
    found = levels(tiff(samples))
    np.testing.assert_allclose(found, [[0, 127, 255]], atol=1)
    assert found[0][2] == 255


@pytest.mark.parametrize(
    "samples",
    [
        np.array([[-1, 100]], np.int8),
        np.array([[-5, 100]], np.int16),
        np.array([[-5, 100]], np.int32),
        np.array([[5, 2**31 + 7]], np.uint32),
        np.array([[5, 2**32 - 1]], np.uint32),
        np.array([[0.5, 7]], np.float32),
    ],
)
def test_samples_without_a_defined_brightness_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(UnreadableImageError, match="no defined brightness"):
        decode(tiff(samples))


@pytest.mark.parametrize(
    ("samples", "nodata"),
    [
        (np.array([[0, 100, 255]], np.uint8), "255"),
        (np.array([[0, 25_600, 65_535]], np.uint16), "65535"),
        (np.array([[0, 12_800, -9999]], np.int16), "-9999"),
        (np.array([[0, 0.3922, -9999]], np.float32), "-9999"),
        (np.array([[0, 0.3922, -3.4028235e38]], np.float32), "-3.4028234663852886e+38"),
        (np.array([[0, 0.3922, np.nan]], np.float32), "nan"),
    ],
)
def test_pixels_without_data_are_black(samples: np.ndarray, nodata: str) -> None:
    assert levels(tiff(samples, nodata=nodata)) == [[0, 100, 0]]


def test_pixels_without_data_are_black_where_white_is_zero() -> None:
    samples = np.array([[0, 100, 255]], np.uint8)
    assert levels(tiff(samples, nodata="0", white_is_zero=True)) == [[0, 155, 0]]
    wide = samples.astype(np.uint16) << 8
    assert levels(tiff(wide, nodata="0", white_is_zero=True)) == [[0, 155, 0]]


def test_nodata_that_is_no_number_or_out_of_range_hides_nothing() -> None:
    samples = np.array([[0, 100, 255]], np.uint8)
    for nodata in ("text", "-9999", "256", "1e300"):
        assert levels(tiff(samples, nodata=nodata)) == samples.tolist()


def test_palette_entry_without_data_is_black() -> None:
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[42113] = "1"
    found = decode(encoded(palette, "TIFF", tiffinfo=tags))
    assert found.tolist() == [[[255, 0, 0], [0, 0, 0], [0, 0, 255]]]


@pytest.mark.parametrize(("kind", "expected"), [(0, 200), (1, 200), (2, 100)])
def test_alpha_of_16_bit_tiff_is_composited_as_its_tag_says(kind: int, expected: int) -> None:
    """Tag ExtraSamples: 0 unknown, 1 color is multiplied by alpha already, 2 it is not."""
    samples = np.full((2, 2, 4), 200 << 8, np.uint16)
    samples[:, :, 3] = 32_768
    assert (decode(tiff(samples, alpha=kind)) == expected).all()


@pytest.mark.parametrize(("kind", "expected"), [(1, 90), (2, 45)])
def test_alpha_of_8_bit_gray_tiff_is_composited_as_its_tag_says(kind: int, expected: int) -> None:
    samples = np.full((2, 2, 2), 90, np.uint8)
    samples[:, :, 1] = 128
    np.testing.assert_allclose(decode(tiff(samples, alpha=kind)), expected, atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_images_are_turned_upright_with_their_hidden_pixels(orientation: int) -> None:
    samples = np.arange(6, dtype=np.uint16).reshape(2, 3) * 5000
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = Image.fromarray((samples >> 8).astype(np.uint8))
    expected = decode(encoded(plain, exif=exif, transparency=5000 >> 8))
    deep = decode(encoded(Image.fromarray(samples), exif=exif, transparency=5000))
    np.testing.assert_array_equal(deep, expected)


ARCHIVE = Path(__file__).parents[3] / "../shared/data/scientific_files_dev.zip"


@pytest.mark.skipif(not ARCHIVE.exists(), reason="needs the shared scientific files")
def test_real_16_bit_files_keep_their_high_byte() -> None:
    import zipfile

    with zipfile.ZipFile(ARCHIVE) as archive:
        for name in ("frame-000500.depth.png", "170918_tn_neutrophil_migration_wave.ome.tif"):
            data = archive.read(f"files/{name}")
            with Image.open(io.BytesIO(data)) as image:
                expected = np.asarray(image) >> 8
            np.testing.assert_array_equal(decode(data)[:, :, 0], expected)


CASES: dict[str, Callable[[], None]] = {
    "transparent value": lambda: (
        test_16_bit_gray_png_with_a_transparent_value_keeps_all_other_levels(40_000)
    ),
    "inverted": lambda: test_white_is_zero_is_inverted(16),
    "12 bits": test_packed_12_bit_tiff_uses_all_levels,
    "transparent color": test_transparent_16_bit_color_is_compared_with_all_bits,
}


@pytest.mark.parametrize("name", CASES)
def test_control_pillows_own_conversion_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    from dgaal_cli.data.decoders import pillow

    monkeypatch.setattr(pillow, "read_header", lambda image: deep_samples.Header(16, (0, 65535)))
    with pytest.raises((AssertionError, UnreadableImageError)):
        CASES[name]()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32, np.int32, np.float32])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_samples_read_from_the_file_equal_those_that_pillow_copies(
    dtype: type, order: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dgaal_cli.data.decoders import pillow

    if (dtype, order) == (np.uint32, ">"):
        pytest.skip("Pillow does not read it")
    top = 1 if dtype is np.float32 else 30_000
    samples = np.linspace(0, top, 35).reshape(5, 7).astype(dtype)
    data = tiff(samples, order=order, orientation=orientation)
    found = decode(data)
    monkeypatch.setattr(pillow, "read_stored", lambda image, header, data: None)
    np.testing.assert_array_equal(found, decode(data))
    assert found.shape[:2] == ((5, 7) if orientation == 1 else (7, 5))
    with pytest.raises(UnreadableImageError):
        decode(data[:-1])


def test_strips_in_another_order_are_read_in_the_order_of_the_image() -> None:
    samples = np.arange(12, dtype=np.uint16).reshape(4, 3) << 10
    stream = io.BytesIO()
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(stream, samples, rowsperstrip=1, photometric="minisblack")
    data = bytearray(stream.getvalue())
    with Image.open(io.BytesIO(bytes(data))) as image:
        offsets = image.tag_v2[273]
    assert len(offsets) == 4
    swapped = struct.pack("<4I", *offsets[::-1])
    data = bytes(data).replace(struct.pack("<4I", *offsets), swapped)
    np.testing.assert_array_equal(decode(data)[:, :, 0], samples[::-1] >> 8)
