"""Decoding single images: orientation, modes, and refused files."""

import numpy as np
import pytest
from PIL import Image
from sample_images import bomb, encoded, pixels, png

from dgaal_cli.data.decoders.base import TILES, Framing, Target
from dgaal_cli.data.decoders.load import load_picture, silence_decoders
from dgaal_cli.data.decoders.registry import not_an_image
from dgaal_cli.data.images import UnreadableImageError, decode, frame, resize, tile


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_every_allowed_format_is_detected_by_content(kind: str) -> None:
    image = np.zeros((6, 9, 3), np.uint8)
    image[:, :, 0] = 200
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(encoded(image, kind, **options))
    assert found.shape == (6, 9, 3)
    np.testing.assert_allclose(found, image, atol=2)


@pytest.mark.parametrize("kind", ["ICO", "PDF", "EPS", "SGI"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(UnreadableImageError, match=not_an_image().reason):
        decode(encoded(pixels(1, height=16, width=16), kind))


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[4, 1], [5, 2], [6, 3]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[3, 6], [2, 5], [1, 4]]),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(kind: str, orientation: int, expected: list) -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)[:, :, None] * 40
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif)
    np.testing.assert_array_equal(decode(data)[:, :, 0], np.array(expected) * 40)
    picture = load_picture(data, Target())
    assert (picture.height, picture.width) == np.array(expected).shape


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_invalid_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(encoded(pixels(3), exif=exif)), pixels(3))


def test_damaged_exif_is_ignored() -> None:
    data = encoded(pixels(3), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    np.testing.assert_array_equal(decode(data), pixels(3))


def test_transparent_pixels_are_composited_on_black() -> None:
    image = np.full((2, 2, 4), 200, np.uint8)
    image[0, 0, 3], image[0, 1, 3], image[1, :, 3] = 0, 255, 51
    expected = [[[0] * 3, [200] * 3], [[40] * 3, [40] * 3]]
    np.testing.assert_array_equal(decode(encoded(image)), expected)
    np.testing.assert_array_equal(decode(image), expected)


def test_transparency_of_gray_and_palette_images_is_composited() -> None:
    gray = Image.fromarray(np.array([[10, 90]], np.uint8))
    np.testing.assert_array_equal(decode(encoded(gray, transparency=90))[:, :, 0], [[10, 0]])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    found = decode(encoded(palette, transparency=1))
    np.testing.assert_array_equal(found, [[[255, 0, 0], [0, 0, 0]]])


def test_palette_and_cmyk_become_color_and_bilevel_becomes_gray() -> None:
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    np.testing.assert_array_equal(decode(encoded(palette)), [[[255, 0, 0], [0, 0, 255]]])
    cmyk = Image.new("CMYK", (3, 2), (0, 255, 255, 0))
    np.testing.assert_array_equal(decode(encoded(cmyk, "TIFF")), np.tile([255, 0, 0], (2, 3, 1)))
    bilevel = Image.new("1", (2, 2), 1)
    np.testing.assert_array_equal(decode(encoded(bilevel)), np.full((2, 2, 1), 255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_samples_keep_their_high_byte(kind: str) -> None:
    image = Image.fromarray(np.array([[0, 255, 256, 0x1234, 65535]], np.uint16))
    np.testing.assert_array_equal(decode(encoded(image, kind))[:, :, 0], [[0, 0, 1, 0x12, 255]])


def test_float_samples_outside_0_to_1_are_refused() -> None:
    in_range = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    np.testing.assert_array_equal(decode(encoded(in_range, "TIFF"))[:, :, 0], [[0, 128, 255]])
    for value in (1.5, -0.1, float("nan")):
        out_of_range = Image.fromarray(np.array([[0.0, value]], np.float32))
        with pytest.raises(UnreadableImageError, match="no defined brightness"):
            decode(encoded(out_of_range, "TIFF"))


def test_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(data), np.tile([255, 0, 0], (4, 4, 1)))


def test_decompression_bomb_is_refused() -> None:
    with pytest.raises(UnreadableImageError) as caught:
        decode(bomb())
    assert caught.value.reason == "more than 64 megapixels"


@pytest.mark.parametrize("length", [0, 1, 8, 20, 33, 60, 300, -40])
def test_truncated_file_gives_one_short_reason(length: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    data = encoded(noise)[:length]
    with pytest.raises(UnreadableImageError) as caught:
        decode(data)
    assert 0 < len(caught.value.reason) <= 150
    assert "0x" not in caught.value.reason


def test_reason_is_the_same_on_every_run() -> None:
    reasons = set()
    for _ in range(3):
        with pytest.raises(UnreadableImageError) as caught:
            decode(b"no image at all")
        reasons.add(caught.value.reason)
    assert reasons == {not_an_image().reason}


def test_gray_and_color_are_converted_both_ways() -> None:
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    np.testing.assert_array_equal(decode(encoded(gray), channels=3), np.repeat(gray, 3, 2))
    np.testing.assert_array_equal(decode(gray, channels=3), np.repeat(gray, 3, 2))
    color = np.zeros((1, 3, 3), np.uint8)
    color[0, 0, 0] = color[0, 1, 1] = color[0, 2, 2] = 255
    assert decode(encoded(color), channels=1)[0, :, 0].tolist() == [76, 150, 29]
    assert decode(color, channels=1)[0, :, 0].tolist() == [76, 150, 29]


def test_array_without_channel_axis_is_accepted() -> None:
    np.testing.assert_array_equal(decode(pixels(1)[:, :, 0]), pixels(1)[:, :, :1])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_array_that_is_not_an_image_is_refused(array: np.ndarray) -> None:
    with pytest.raises(UnreadableImageError, match="array of"):
        decode(array)


def test_resize_returns_image_of_the_right_size_unchanged() -> None:
    image = pixels(2)
    assert resize(image, size=8, channels=3) is image


def test_resize_stretches_the_whole_image_with_antialiasing() -> None:
    stripes = np.zeros((8, 64, 1), np.uint8)
    stripes[:, ::2] = 200  # without antialiasing every kept column would be 0 or 200
    small = resize(stripes, size=8, channels=1)
    assert small.shape == (8, 8, 1)
    assert abs(small.astype(int) - 100).max() <= 4
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (8, 1, 1))
    assert np.all(np.diff(resize(ramp, size=8, channels=1)[0, :, 0].astype(int)) > 0)


def test_reduced_jpeg_decoding_differs_by_at_most_ten_levels() -> None:
    y, x = np.mgrid[0:480, 0:640]
    image = np.stack([x * 255 // 640, y * 255 // 480, (x + y) % 256], axis=2).astype(np.uint8)
    data = encoded(image, "JPEG", quality=92)
    full = resize(decode(data), size=32, channels=3).astype(int)
    reduced = np.asarray(
        load_picture(data, Target(channels=3, side=32, reduces=True)).image
    ).astype(int)
    assert np.abs(full - reduced).max() <= 10
    assert np.abs(full - reduced).mean() < 1
    picture = load_picture(data, Target(side=32))
    assert (picture.width, picture.height) == (640, 480)


def test_max_pixels_limits_the_image_size() -> None:
    picture = load_picture(encoded(pixels(1, height=300, width=200)), Target(max_pixels=10_000))
    width, height = picture.image.size
    assert width * height <= 10_000
    assert (picture.width, picture.height) == (200, 300)


def test_decode_restores_warning_filters() -> None:
    import warnings

    before = list(warnings.filters)
    decode(png(1))
    with pytest.raises(UnreadableImageError):
        decode(bomb())
    assert list(warnings.filters) == before


def test_silence_decoders_turns_bomb_warnings_into_errors() -> None:
    import warnings

    with warnings.catch_warnings():
        silence_decoders()
        with pytest.raises(Image.DecompressionBombWarning):
            warnings.warn("big", Image.DecompressionBombWarning, stacklevel=1)
        warnings.warn("chatter", UserWarning, stacklevel=1)


def test_share_of_the_shorter_side_is_cut_out_of_the_middle() -> None:
    image = np.full((40, 100, 1), 7, np.uint8)
    image[5:35, 35:65] = 90
    cut = frame(image, Framing(10, share=0.75))
    assert cut.shape == (10, 10, 3)
    np.testing.assert_array_equal(cut[1:-1, 1:-1], 90)
    assert cut.min() > 40
    assert frame(image, Framing(10))[0, 0, 0] == 7


def test_tiles_are_the_whole_image_and_its_quarters() -> None:
    image = np.empty((20, 60, 1), np.uint8)
    image[:10, :30], image[:10, 30:], image[10:, :30], image[10:, 30:] = 10, 20, 30, 40
    tiles = tile(image, Framing(4, share=0.5)).reshape(TILES, 4, 4, 3)
    np.testing.assert_array_equal(tiles[0], frame(image, Framing(4)))
    for square, value in zip(tiles[1:], (10, 20, 30, 40), strict=True):
        np.testing.assert_array_equal(square, value)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3)])
def test_tiny_images_have_tiles(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 9, np.uint8)
    np.testing.assert_array_equal(tile(image, Framing(8, interpolation="bicubic")), 9)
