"""Arrays in .npz files and the built-in digits."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sample_images import pixels

from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.images import decode, resize
from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

IMAGES = np.stack([pixels(number) for number in range(5)])


def save(folder: Path, *, is_packed: bool = False, **arrays: np.ndarray) -> str:
    (np.savez_compressed if is_packed else np.savez)(folder / "pool.npz", **arrays)
    return "pool.npz"


@pytest.mark.parametrize("is_packed", [False, True])
def test_array_rows_keep_order_split_and_label(tmp_path: Path, is_packed: bool) -> None:
    spec = save(
        tmp_path,
        is_packed=is_packed,
        x_train=IMAGES[:3],
        y_train=np.array([4, 0, 1]),
        x_test=IMAGES[3:],
    )
    source = open_source(spec, base=tmp_path)
    found = [(entry.id, entry.label, entry.split) for entry in source.entries()]
    assert found == [
        ("train/000000", "4", "train"),
        ("train/000001", "0", "train"),
        ("train/000002", "1", "train"),
        ("test/000000", None, "test"),
        ("test/000001", None, "test"),
    ]
    for entry, image in zip(source.entries(), IMAGES, strict=True):
        np.testing.assert_array_equal(entry.read(), image)
    np.testing.assert_array_equal(source.get(SampleId("test/000001")).read(), IMAGES[4])


def test_rows_of_array_x_have_ids_without_split(tmp_path: Path) -> None:
    source = open_source(save(tmp_path, x=IMAGES[..., 0], y=np.array(list("abcde"))), base=tmp_path)
    assert [entry.id for entry in source.entries()] == [f"{row:06d}" for row in range(5)]
    assert [entry.label for entry in source.entries()] == list("abcde")
    np.testing.assert_array_equal(source.get(SampleId("000002")).read(), IMAGES[2, ..., 0])


def test_array_read_in_blocks_equals_the_whole_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgaal_cli.data.sources.arrays._BLOCK_BYTES", 2 * IMAGES[0].nbytes)
    source = open_source(save(tmp_path, x=IMAGES), base=tmp_path)
    np.testing.assert_array_equal(np.stack([entry.read() for entry in source.entries()]), IMAGES)


def test_arrays_without_images_are_ignored(tmp_path: Path) -> None:
    spec = save(tmp_path, x=IMAGES, x_wide=IMAGES.astype(np.uint16), x_offsets=np.arange(3))
    assert open_source(spec, base=tmp_path).count() == 5


@pytest.mark.parametrize(
    "name", ["train/000005", "train/5", "000001", "test/000000", "train/-1", "train/x"]
)
def test_get_refuses_unknown_row(tmp_path: Path, name: str) -> None:
    source = open_source(save(tmp_path, x_train=IMAGES), base=tmp_path)
    with pytest.raises(InputDataError, match="contains no image"):
        source.get(SampleId(name))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES}, "needs an array x"),
        ({"x": IMAGES.astype(np.float32)}, "x: float32"),
        ({"x": IMAGES.transpose(0, 3, 1, 2)}, r"x: uint8 \(5, 3, 8, 8\)"),
        ({"x": IMAGES, "y": np.arange(4)}, "4 labels for 5 images"),
        ({"x": np.array([{}], dtype=object)}, "contains no images"),
        ({"x": np.empty((0, 8, 8), np.uint8)}, "contains no images"),
    ],
)
def test_unsuitable_arrays_are_refused_with_the_reason(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputDataError, match=message):
        open_source(save(tmp_path, **arrays), base=tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_npz_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / save(tmp_path, x=IMAGES)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputDataError, match=r"not a readable \.npz"):
        open_source("pool.npz", base=tmp_path)


def test_array_shorter_than_its_header_is_refused_while_streaming(tmp_path: Path) -> None:
    member = io.BytesIO()
    np.save(member, IMAGES)
    with zipfile.ZipFile(tmp_path / "pool.npz", "w") as archive:
        archive.writestr("x.npy", member.getvalue()[:-100])
    with pytest.raises(InputDataError, match="cannot read"):
        list(open_source("pool.npz", base=tmp_path).entries())


def test_digits_have_two_splits_and_full_gray_range() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    source = open_source("builtin:digits", base=Path("/"))
    entries = list(source.entries())
    assert len(entries) == source.count() == 1797
    assert [entry.split for entry in entries] == ["train"] * 1297 + ["test"] * 500
    bunch = sklearn.load_digits()
    assert [entry.label for entry in entries] == [str(label) for label in bunch.target]
    images = np.stack([entry.read() for entry in entries])
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, np.rint(bunch.images * 255 / 16))
    assert images.max() == 255
    test = list(open_source("builtin:digits#test", base=Path("/")).entries())
    assert [entry.id for entry in test] == [f"test/{row:06d}" for row in range(500)]
    np.testing.assert_array_equal(test[3].read(), images[1300])
    np.testing.assert_array_equal(source.get(SampleId("test/000003")).read(), images[1300])
    for name in ("test/000500", "train/001297", "test/3", "000001"):
        with pytest.raises(InputDataError):
            source.get(SampleId(name))


@pytest.mark.parametrize("channels", [1, 3])
def test_block_of_images_is_not_mistaken_for_one_color_image(tmp_path: Path, channels: int) -> None:
    """32 images of 32 x 3 pixels have the same shape as one color image of 32 x 32 pixels."""
    narrow = np.random.default_rng(0).integers(0, 256, (32, 32, channels), np.uint8)
    np.savez(tmp_path / "a.npz", x=narrow)
    source = open_source(str(tmp_path / "a.npz"), base=tmp_path)
    stream = decode_stream(source.entries(), size=32, channels=channels, hashes=False)
    found = np.concatenate([batch.pixels for batch in stream])
    expected = [resize(decode(image), size=32, channels=channels) for image in narrow]
    np.testing.assert_array_equal(found, np.stack(expected))
