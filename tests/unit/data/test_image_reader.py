"""Single images for the label terminal."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sample_images import encoded, pixels, png

from dgaal_cli.data.image_reader import MAX_PIXELS, ImageReader
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId


def test_pool_images_have_their_original_size(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/a.png").write_bytes(encoded(pixels(1, height=30, width=50)))
    reader = ImageReader(tmp_path, "pool")
    np.testing.assert_array_equal(reader.read(SampleId("a.png")), pixels(1, height=30, width=50))
    reader.close()


def test_synthetic_images_are_read_from_their_round(tmp_path: Path) -> None:
    folder = tmp_path / "rounds/003/synthetic"
    folder.mkdir(parents=True)
    (folder / "000012.png").write_bytes(png(5))
    reader = ImageReader(tmp_path, "missing pool")
    found = reader.read(SampleId("synthetic/003/000012.png"), is_synthetic=True)
    np.testing.assert_array_equal(found, pixels(5))
    for name in ("synthetic/003/../../x.png", "003/000012.png", "synthetic/003/a/b.png"):
        with pytest.raises(UnreadableImageError, match="not the id"):
            reader.read(SampleId(name), is_synthetic=True)
    with pytest.raises(UnreadableImageError, match="no such file"):
        reader.read(SampleId("synthetic/003/000013.png"), is_synthetic=True)
    reader.close()


def test_arrays_are_read_without_a_process(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", x=np.stack([pixels(1), pixels(2)]))
    reader = ImageReader(tmp_path, "p.npz")
    np.testing.assert_array_equal(reader.read(SampleId("000001")), pixels(2))
    assert reader._decoder._process is None


def test_file_of_returns_path_even_of_missing_file(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/a.png").write_bytes(png(1))
    (tmp_path / "list.csv").write_text("file_name\npool/b.png\n")
    np.savez(tmp_path / "p.npz", x=np.stack([pixels(1)]))
    reader = ImageReader(tmp_path, "pool")
    assert reader.file_of(SampleId("a.png")) == str(tmp_path / "pool/a.png")
    assert reader.file_of(SampleId("b.png")) == str(tmp_path / "pool/b.png")
    with pytest.raises(InputDataError):
        reader.file_of(SampleId("../list.csv"))
    listed = ImageReader(tmp_path, "list.csv").file_of(SampleId("pool/b.png"))
    assert listed == str(tmp_path / "pool/b.png")
    assert ImageReader(tmp_path, "p.npz").file_of(SampleId("000000")) == ""


def test_huge_images_are_reduced(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(np.zeros((3000, 2500, 1), np.uint8)))
    reader = ImageReader(tmp_path, "a.png")
    height, width, _ = reader.read(SampleId("a.png")).shape
    assert height * width <= MAX_PIXELS
    assert height / width == pytest.approx(1.2, rel=0.01)
    reader.close()


def test_reader_works_after_bad_and_missing_images(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/a.png").write_bytes(png(1))
    (tmp_path / "pool/b.png").write_bytes(png(1)[:40])
    reader = ImageReader(tmp_path, "pool")
    with pytest.raises(UnreadableImageError):
        reader.read(SampleId("b.png"))
    with pytest.raises(InputDataError, match="contains no image"):
        reader.read(SampleId("c.png"))
    np.testing.assert_array_equal(reader.read(SampleId("a.png")), pixels(1))
    reader.close()


def test_threads_can_read_concurrently(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for number in range(40):
        (tmp_path / f"pool/{number}.png").write_bytes(png(number))
    reader = ImageReader(tmp_path, "pool")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: reader.read(SampleId(f"{n}.png")), range(40)))
    np.testing.assert_array_equal(np.stack(found), np.stack([pixels(n) for n in range(40)]))
    reader.close()


def test_image_reader_does_not_import_torch() -> None:
    code = "import sys, dgaal_cli.data.image_reader; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"
