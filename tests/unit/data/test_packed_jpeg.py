"""Encoded images stored one after another in one array of an .npz file."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dgaal_cli.data.images import decode
from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import InputDataError

CIFAR = Path(__file__).parents[3] / "../shared/data/cifar10_jpeg.npz"


def jpeg(level):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def packed(path, *, labels=(1, 0, 1), **changes):
    files = [jpeg(level) for level in (10, 120, 240)]
    arrays = {
        "x_train_jpeg": np.frombuffer(b"".join(files), np.uint8),
        "x_train_offsets": np.cumsum([0, *map(len, files)]),
        "y_train": np.array(labels, np.uint8),
    }
    np.savez(path, **(arrays | changes))
    return path


def test_packed_rows_decode_to_the_original_images(tmp_path):
    source = open_source(str(packed(tmp_path / "p.npz")), base=tmp_path)
    entries = list(source.entries())
    assert [entry.id for entry in entries] == ["train/000000", "train/000001", "train/000002"]
    assert [entry.label for entry in entries] == ["1", "0", "1"]
    levels = [decode(entry.read()).mean() for entry in entries]
    assert levels == pytest.approx([10, 120, 240], abs=2)
    assert source.count() == 3


def test_get_finds_a_packed_row_by_its_id(tmp_path):
    source = open_source(f"{packed(tmp_path / 'p.npz')}#train", base=tmp_path)
    assert decode(source.get("train/000001").read()).mean() == pytest.approx(120, abs=2)
    for wrong in ("train/000003", "test/000001", "train/1", "train/x"):
        with pytest.raises(InputDataError):
            source.get(wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"x_train_offsets": np.array([0, 5, 3, 900])},
        {"x_train_offsets": np.array([0, 10, 20, 10**9])},
        {"x_train_offsets": np.array([5, 10, 20, 30])},
        {"x_train_offsets": np.array([0.0, 1.0])},
        {"y_train": np.array([1, 0])},
        {"x_train_jpeg": np.zeros((3, 4), np.uint8)},
    ],
)
def test_inconsistent_packed_arrays_are_refused(changes, tmp_path):
    with pytest.raises(InputDataError, match=r"p\.npz"):
        list(open_source(str(packed(tmp_path / "p.npz", **changes)), base=tmp_path).entries())


def test_npz_without_packed_images_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 8, 8), np.uint8))
    assert len(list(open_source("a.npz", base=tmp_path).entries())) == 2


@pytest.mark.skipif(not CIFAR.is_file(), reason="the CIFAR-10 file is missing")
def test_cifar_rows_keep_the_original_order():
    entry = next(open_source(f"{CIFAR}#test", base=Path()).entries())
    assert (entry.label, decode(entry.read()).shape) == ("3", (32, 32, 3))
