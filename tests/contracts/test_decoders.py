"""The contract of every image format in the registry."""

import io
import struct
from collections.abc import Callable, Mapping, Sequence

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from raw_images import dicom
from sample_images import bomb, encoded, pixels

from dgaal_cli.data.decoders.base import MAX_PIXELS, TOO_LARGE, DecodedImage, Decoder, Target
from dgaal_cli.data.decoders.load import load_picture
from dgaal_cli.data.decoders.process import DecoderProcess
from dgaal_cli.data.decoders.registry import (
    FORMATS,
    SUFFIXES,
    Format,
    find_format,
    format_names,
    is_missing_package,
    load_decoder,
)
from dgaal_cli.data.unreadable import UnreadableImageError

IMAGE = pixels(5, height=12, width=20)


def heic(image: np.ndarray) -> bytes:
    """Return a HEIC file; afterwards Pillow decodes such files, too."""
    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF", quality=90)


SAMPLES = {
    "JPEG": encoded(IMAGE, "JPEG", quality=90),
    "PNG": encoded(IMAGE, "PNG"),
    "WEBP": encoded(IMAGE, "WEBP", lossless=True),
    "BMP": encoded(IMAGE, "BMP"),
    "TIFF": encoded(IMAGE, "TIFF"),
    "GIF": encoded(Image.fromarray(IMAGE).convert("P"), "GIF"),
    "DICOM": dicom(IMAGE),
    "AVIF": encoded(IMAGE, "AVIF", quality=90),
    "JPEG2000": encoded(IMAGE, "JPEG2000"),
    "PPM": encoded(IMAGE, "PPM"),
    "TGA": encoded(IMAGE, "TGA"),
    "HEIC": heic(IMAGE),
    "JPEG XL": imagecodecs.jpegxl_encode(IMAGE, lossless=True),
}
"""One file of each format, with the size of ``IMAGE``."""


def with_size(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return a file with another size in its header."""
    assert data.count(old) == 1
    return data.replace(old, new)


def tiff_bomb() -> bytes:
    data = SAMPLES["TIFF"]
    for tag, size in ((256, 20), (257, 12)):
        (kind,) = (k for k in (3, 4) if struct.pack("<HHII", tag, k, 1, size) in data)
        old = struct.pack("<HHII", tag, kind, 1, size)
        data = with_size(data, old, struct.pack("<HHII", tag, 4, 1, 20_000))
    return data


NORMAL, HUGE = struct.pack(">II", 20, 12), struct.pack(">II", 10_000, 10_000)


def after(mark: bytes, data: bytes, new: bytes) -> bytes:
    """Return a file with other bytes 4 after a mark, wherever it is."""
    parts = data.split(mark)
    return mark.join([parts[0], *(part[:4] + new + part[4 + len(new) :] for part in parts[1:])])


BOMBS = {
    "JPEG": with_size(SAMPLES["JPEG"], struct.pack(">BHH", 8, 12, 20), b"\x08\xff\x00\xff\x00"),
    "PNG": bomb(),
    "WEBP": with_size(
        SAMPLES["WEBP"], struct.pack("<BI", 0x2F, 19 | 11 << 14), b"\x2f\xff\xff\xff\x0f"
    ),
    "BMP": with_size(
        SAMPLES["BMP"], struct.pack("<ii", 20, 12), struct.pack("<ii", 20_000, 20_000)
    ),
    "TIFF": tiff_bomb(),
    "DICOM": dicom(IMAGE, Rows=20_000, Columns=20_000),
    "AVIF": with_size(SAMPLES["AVIF"], NORMAL, HUGE),
    "JPEG2000": SAMPLES["JPEG2000"].replace(NORMAL, HUGE).replace(struct.pack(">II", 12, 20), HUGE),
    "PPM": b"P6\n20000 20000\n255\n",
    "TGA": with_size(
        SAMPLES["TGA"], struct.pack("<HH", 20, 12), struct.pack("<HH", 20_000, 20_000)
    ),
    "HEIC": after(b"ispe", heic(pixels(5, height=64, width=64)), HUGE),
    # Not small, 18 bits for the height of 20,000, ratio 1.
    "JPEG XL": b"\xff\x0a" + (2 << 1 | 19_999 << 3 | 1 << 21).to_bytes(4, "little") + b"\0" * 40,
    "GIF": SAMPLES["GIF"][:6] + b"\xff\xff\xff\xff" + SAMPLES["GIF"][10:],
}
"""The same files with more pixels in the header than allowed."""

each_format = pytest.mark.parametrize("kind", FORMATS, ids=lambda format_: format_.name)


def reference(data: bytes) -> np.ndarray:
    """Return the pixels that Pillow decodes, or those of a format that it does not know."""
    if data in (SAMPLES["DICOM"], SAMPLES["JPEG XL"]):
        return IMAGE
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def check_sniffing(formats: Sequence[Format], samples: Mapping[str, bytes]) -> None:
    for name, data in samples.items():
        assert [format_.name for format_ in formats if format_.matches(data[:512])] == [name]


def check_image(decode: Decoder, kind: str) -> None:
    found = decode(SAMPLES[kind], kind, Target())
    np.testing.assert_array_equal(np.asarray(found.pixels), reference(SAMPLES[kind]))
    assert (found.width, found.height) == (20, 12)
    assert (found.channels, found.depth, found.value_range) == (3, 8, (0, 255))


def check_limit(decode: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        decode(data)
    assert caught.value.reason == TOO_LARGE


def test_suite_covers_every_format() -> None:
    assert set(SAMPLES) == set(BOMBS) == {format_.name for format_ in FORMATS}


def test_suffixes_are_unique_and_lower_case() -> None:
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in SUFFIXES)
    assert format_names() == (
        "JPEG, PNG, WEBP, BMP, DICOM, TIFF, GIF, AVIF, JPEG2000, PPM, HEIC, JPEG XL or TGA"
    )


def test_each_format_matches_only_its_own_files() -> None:
    check_sniffing(FORMATS, SAMPLES)
    assert find_format(b"text") is find_format(b"") is None


@each_format
def test_pixels_equal_another_reader(kind: Format) -> None:
    check_image(load_decoder(kind), kind.name)


@each_format
def test_decoder_process_returns_the_same_pixels(kind: Format) -> None:
    process = DecoderProcess()
    try:
        found = process.decode(SAMPLES[kind.name])
    finally:
        process.close()
    np.testing.assert_array_equal(found, reference(SAMPLES[kind.name]))


@each_format
def test_damaged_file_gives_a_printable_reason_or_an_image(kind: Format) -> None:
    data = SAMPLES[kind.name]
    generator = np.random.default_rng(0)
    reasons: list[str] = []
    for number in range(200):
        changed = bytearray(data)
        for position in generator.integers(0, len(data), 3):
            changed[position] = int(generator.integers(256))
        cut = len(data) if number % 2 else int(generator.integers(0, len(data)))
        try:
            load_picture(bytes(changed[:cut]), Target())
        except UnreadableImageError as error:
            reasons.append(error.reason)
    assert len(reasons) > 20
    assert all(reason.isprintable() and 0 < len(reason) <= 150 for reason in reasons)


@each_format
def test_file_truncated_in_its_header_is_refused(kind: Format) -> None:
    with pytest.raises(UnreadableImageError):
        load_picture(SAMPLES[kind.name][:12], Target())


@each_format
def test_images_with_too_many_pixels_are_refused(kind: Format) -> None:
    check_limit(lambda data: load_picture(data, Target()), BOMBS[kind.name])


def test_control_broken_decoders_are_caught() -> None:
    """Negative control."""
    match_all = Format("ANY", (".any",), ((0, b""),), "nowhere:decode")
    with pytest.raises(AssertionError):
        check_sniffing((match_all, *FORMATS), SAMPLES)

    def inverted(data: bytes, kind: str, target: Target) -> DecodedImage:
        return DecodedImage(255 - reference(data), 20, 12)

    def twelve_bit(data: bytes, kind: str, target: Target) -> DecodedImage:
        return DecodedImage(reference(data), 20, 12, depth=12)

    for decode in (inverted, twelve_bit):
        with pytest.raises(AssertionError):
            check_image(decode, "PNG")
    with pytest.raises(pytest.fail.Exception):
        check_limit(lambda data: load_picture(data, Target()), SAMPLES["PNG"])
    assert MAX_PIXELS < 20_000**2


def test_missing_package_reason_names_the_install_command() -> None:
    kind = Format(
        "DICOM",
        (".dcm",),
        ((128, b"DICM"),),
        "no_such_package.any:decode",
        "no_such_package",
        "dicom",
    )
    with pytest.raises(UnreadableImageError, match=r"pip install 'dgaal\[dicom\]'") as caught:
        load_decoder(kind)
    assert caught.value.reason == kind.missing_package
    assert not is_missing_package("not a JPEG image")
    assert not is_missing_package("")
    broken = kind._replace(package="another")
    with pytest.raises(ModuleNotFoundError):
        load_decoder(broken)
