"""TIFF beyond Pillow and DICOM: pixels compared with independent computations."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from raw_images import dicom, tiff

from dgaal_cli.data.decoders.base import Target
from dgaal_cli.data.decoders.load import load_picture, look_at
from dgaal_cli.data.decoders.process import DecoderProcess
from dgaal_cli.data.images import UnreadableImageError, decode

tifffile = pytest.importorskip("tifffile")
pydicom = pytest.importorskip("pydicom")
pytest.importorskip("imagecodecs")

ARCHIVE = Path(__file__).parents[3] / "../shared/data/scientific_files_dev.zip"
needs_files = pytest.mark.skipif(not ARCHIVE.exists(), reason="needs the shared scientific files")


def written(samples: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


def ramp(top: int, dtype: type = np.uint16) -> np.ndarray:
    return np.linspace(0, top, 64 * 64).astype(dtype).reshape(64, 64)


def gray(data: bytes) -> np.ndarray:
    found = decode(data)
    assert found.shape[2] == 1
    return found[:, :, 0]


def scaled(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((samples.astype(np.float64) - low) / (high - low), 0, 1)
    return np.floor(share * 255 + 0.5).astype(np.uint8)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14])
def test_packed_integers_of_each_depth_use_all_levels(bits: int) -> None:
    samples = ramp(2**bits - 1, np.uint16 if bits > 8 else np.uint8)
    found = gray(written(samples, bitspersample=bits, photometric="minisblack"))
    exact = samples >> (bits - 8) if bits >= 8 else scaled(samples, 0, 2**bits - 1)
    np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes_of_color_are_the_colors_of_interleaved_samples(
    dtype: type, bands: int, compression: str | None, order: str
) -> None:
    top = np.iinfo(dtype).max
    colors = [ramp(top, dtype), ramp(top, dtype).T, ramp(top // 2, dtype), ramp(top, dtype)[::-1]]
    options = {"extrasamples": ["unassalpha"]} if bands == 4 else {}
    found, expected = (
        written(
            np.stack(colors[:bands], axis=axis),
            photometric="rgb",
            planarconfig=planes,
            compression=compression,
            byteorder=order,
            **options,
        )
        for axis, planes in ((0, "separate"), (2, "contig"))
    )
    np.testing.assert_array_equal(decode(found), decode(expected))


@pytest.mark.parametrize("compression", ["zstd", "lzma", "lerc", "webp", "packbits", "deflate"])
def test_compressed_and_tiled_files_are_read(compression: str) -> None:
    samples = np.stack([ramp(255, np.uint8)] * 3, axis=2)
    options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    data = written(samples, tile=(16, 16), compression=compression, photometric="rgb", **options)
    np.testing.assert_array_equal(decode(data), samples)


def test_12_bit_white_is_zero_is_inverted() -> None:
    samples = np.array([[0, 1000], [4000, 4095]], np.uint16)
    np.testing.assert_array_equal(
        gray(tiff(samples, bits=12, white_is_zero=True)), 255 - (samples >> 4)
    )


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_first_three_of_many_bands_are_shown(planar: str) -> None:
    bands = [ramp(65_535) >> shift for shift in range(5)]
    axis = 2 if planar == "contig" else 0
    data = written(np.stack(bands, axis=axis), photometric="minisblack", planarconfig=planar)
    np.testing.assert_array_equal(decode(data), np.stack(bands[:3], axis=2) >> 8)


def test_first_of_two_bands_is_shown() -> None:
    samples = np.stack([ramp(65_535), ramp(100)], axis=2)
    data = written(samples, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(gray(data), samples[:, :, 0] >> 8)


def test_alpha_beside_16_bit_gray_is_composited_on_black() -> None:
    samples = np.stack([np.full((32, 32), 40_000, np.uint16), ramp(65_535)[:32, :32]], axis=2)
    samples[0, 0, 1] = 65_535
    data = written(
        samples, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    )
    exact = samples[:, :, 0] * (samples[:, :, 1] / 65_535)
    np.testing.assert_allclose(gray(data), np.floor(exact / 256), atol=1)
    assert gray(data)[0, 0] == 40_000 >> 8


def test_float64_and_float16_are_read() -> None:
    samples = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    for dtype in (np.float64, np.float16):
        data = written(samples.astype(dtype), photometric="minisblack")
        np.testing.assert_allclose(gray(data), scaled(samples, 0, 1), atol=1)


def test_complex_samples_and_other_color_spaces_are_refused_in_words() -> None:
    complex_file = written(np.ones((4, 4), np.complex64), photometric="minisblack")
    lab = written(np.ones((4, 4, 3), np.uint16), photometric="cielab")
    for data, reason in ((complex_file, "complex numbers"), (lab, "CIELAB are not read in TIFF")):
        with pytest.raises(UnreadableImageError, match=reason):
            decode(data)


def test_size_is_checked_before_bands_are_decoded() -> None:
    samples = np.zeros((16, 16, 5), np.uint8)
    data = bytearray(written(samples, photometric="minisblack", planarconfig="contig"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        for name in ("ImageWidth", "ImageLength"):
            tag = file.pages[0].tags[name]
            size = {3: 2, 4: 4}[int(tag.dtype)]
            data[tag.valueoffset : tag.valueoffset + size] = (60_000).to_bytes(size, "little")
    with pytest.raises(UnreadableImageError, match="more than 64 megapixels"):
        decode(bytes(data))


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 100.0, "WindowWidth": 200.0},
        {"WindowCenter": [100.0, 5.0], "WindowWidth": [200.0, 9.0]},
        {"WindowCenter": 100.0, "WindowWidth": 200.0, "VOILUTFunction": "LINEAR_EXACT"},
    ],
)
def test_dicom_window_is_that_of_the_standard(elements: dict[str, object]) -> None:
    stored = np.arange(-200, 824, dtype=np.int16).reshape(32, 32)
    data = dicom(stored, RescaleSlope=2, RescaleIntercept=-50, **elements)
    values = stored.astype(np.float64) * 2 - 50
    is_exact = "VOILUTFunction" in elements
    low, high = (0, 200) if is_exact else (99.5 - 199 / 2, 99.5 + 199 / 2)
    np.testing.assert_array_equal(gray(data), scaled(values, low, high))


def test_dicom_without_a_window_uses_the_stored_bits() -> None:
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    np.testing.assert_array_equal(gray(dicom(stored, BitsStored=12, HighBit=11)), stored >> 4)


def test_range_of_the_pool_refers_to_rescaled_values_and_replaces_the_window() -> None:
    from dgaal_cli.data.decoders.base import Rendering

    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    data = dicom(stored, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=0, WindowWidth=100)
    target = Target(rendering=Rendering((-1000, 400)))
    found = np.asarray(load_picture(data, target).image)
    np.testing.assert_array_equal(found, scaled(stored.astype(float) - 1024, -1000, 400))


def test_monochrome1_is_inverted() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = dicom(stored, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(gray(data), 255 - stored)


def test_padding_of_dicom_is_black() -> None:
    stored = np.arange(256, dtype=np.int16).reshape(16, 16)
    stored[0] = -2000
    data = dicom(stored, PixelPaddingValue=-2000, WindowCenter=128, WindowWidth=256)
    inverted = dicom(
        stored,
        PixelPaddingValue=-2000,
        WindowCenter=128,
        WindowWidth=256,
        PhotometricInterpretation="MONOCHROME1",
    )
    assert (gray(data)[0] == 0).all()
    assert (gray(inverted)[0] == 0).all()
    assert gray(inverted)[1, 0] > 200


def test_first_of_several_frames_is_shown() -> None:
    frames = np.stack([np.full((8, 9), value, np.uint8) for value in (40, 90)])
    assert (gray(dicom(frames)) == 40).all()
    assert gray(dicom(frames)).shape == (8, 9)


def test_dicom_without_an_image_is_refused() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(np.zeros((4, 4), np.uint8))))
    del dataset.PixelData
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(UnreadableImageError, match="DICOM without an image"):
        decode(stream.getvalue())


def test_without_the_extra_the_reason_names_it() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tifffile', 'pydicom']));"
        "sys.path.insert(0, sys.argv[1]);"
        "from dgaal_cli.data.images import decode;"
        "from raw_images import tiff; import numpy as np\n"
        "for data in (tiff(np.zeros((4, 4, 5), np.uint16)), b'\\0' * 128 + b'DICM' + b'\\0' * 9):\n"
        "    try: decode(data)\n"
        "    except Exception as error: print(error)"
    )
    support = str(Path(__file__).parents[2] / "support")
    done = subprocess.run(
        [sys.executable, "-c", code, support], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("TIFF of these samples needs tifffile, which is not installed")
    assert second.startswith("DICOM needs pydicom, which is not installed")
    assert all(line.endswith("pip install 'dgaal[scientific]'") for line in (first, second))


@needs_files
def test_real_files_equal_independent_readings() -> None:
    """Each file by tifffile or pydicom, and numpy."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        files = {Path(name).name: archive.read(name) for name in archive.namelist()}
    landsat = tifffile.imread(io.BytesIO(files["LE70220491999322EDC01_stack.tif"]))[:, :, :3]
    hidden = tifffile.imread(io.BytesIO(files["LE70220491999322EDC01_stack.tif"])) == -9999
    expected = np.where(hidden.all(axis=2)[:, :, None], 0, landsat >> 7)
    np.testing.assert_array_equal(decode(files["LE70220491999322EDC01_stack.tif"]), expected)
    np.testing.assert_array_equal(
        decode(files["goes.tif"]), tifffile.imread(io.BytesIO(files["goes.tif"]), key=0)
    )
    radiograph = pydicom.dcmread(io.BytesIO(files["RG3_J2KI.dcm"]))
    low, high = (
        float(radiograph.WindowCenter) - 0.5 + sign * (float(radiograph.WindowWidth) - 1) / 2
        for sign in (-1, 1)
    )
    np.testing.assert_array_equal(
        gray(files["RG3_J2KI.dcm"]), 255 - scaled(radiograph.pixel_array, low, high)
    )
    color = pydicom.dcmread(io.BytesIO(files["examples_rgb_color.dcm"]))
    np.testing.assert_array_equal(decode(files["examples_rgb_color.dcm"]), color.pixel_array)


@needs_files
def test_decoder_process_reads_every_real_file_within_its_limits() -> None:
    process = DecoderProcess()
    try:
        with zipfile.ZipFile(ARCHIVE) as archive:
            for name in archive.namelist():
                if name.endswith((".dcm", ".tif", ".png")) and "Lisbon" not in name:
                    assert process.decode(archive.read(name)).size, name
    finally:
        process.close()


@needs_files
@pytest.mark.parametrize("name", ["JPEG-LL.dcm", "emri_small.dcm", "CT_small.dcm"])
def test_survey_finds_the_samples_that_the_reference_reading_has(name: str) -> None:
    known = {"JPEG-LL.dcm": (0, 278), "emri_small.dcm": None, "CT_small.dcm": (-896, 1167)}
    with zipfile.ZipFile(ARCHIVE) as archive:
        data = archive.read(f"files/{name}")
    expected = known[name]
    if expected is None:
        frame = pydicom.dcmread(io.BytesIO(data)).pixel_array[0]
        expected = (frame.min(), frame.max())
    assert look_at(data, Target(side=32)).samples[:2] == expected
