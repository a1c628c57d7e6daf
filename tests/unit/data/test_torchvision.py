"""torchvision data sets are read from disk; a missing one is an error, not a download."""

import struct
from pathlib import Path

import numpy as np
import pytest
from sample_images import pixels

from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

pytest.importorskip("torchvision")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def make_mnist(root: Path) -> None:
    """Write two tiny splits as MNIST files; torchvision checks only that the files exist."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 3), ("t10k", 2)):
        images = np.stack([pixels(number, channels=1)[:, :, 0] for number in range(count)])
        header = struct.pack(">IIII", 0x00000803, count, 8, 8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = struct.pack(">II", 0x00000801, count) + bytes(range(count))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def test_data_set_on_disk_has_two_splits_and_labels(tmp_path: Path) -> None:
    make_mnist(tmp_path)
    source = open_source("torchvision:MNIST:.", base=tmp_path)
    assert [(entry.id, entry.label) for entry in source.entries()] == [
        ("train/000000", "0"),
        ("train/000001", "1"),
        ("train/000002", "2"),
        ("test/000000", "0"),
        ("test/000001", "1"),
    ]
    image = source.get(SampleId("test/000001")).read()
    np.testing.assert_array_equal(image, pixels(1, channels=1)[:, :, 0])
    test = open_source("torchvision:MNIST:.#test", base=tmp_path)
    assert [entry.id for entry in test.entries()] == ["test/000000", "test/000001"]
    for name in ("test/000002", "val/000000", "test/1"):
        with pytest.raises(InputDataError, match="contains no image"):
            source.get(SampleId(name))


class ChannelsFirst:
    """Replaces SVHN and STL10, which have ``data`` (N, 3, H, W) and ``labels``."""

    classes = ("airplane", "bird")

    def __init__(self, root: str, *, split: str, download: bool) -> None:
        assert not download
        assert Path(root).is_dir()
        count = {"train": 2, "test": 1, "unlabeled": 3}[split]
        self.data = np.stack([split_pixels(split, row).transpose(2, 0, 1) for row in range(count)])
        self.labels = np.array([-1] * count if split == "unlabeled" else [1, 0][:count])


def split_pixels(split: str, row: int) -> np.ndarray:
    return pixels(10 * len(split) + row, height=6, width=5)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("SVHN", {"train": ["bird", "airplane"], "test": ["bird"]}),
        (
            "STL10",
            {"train": ["bird", "airplane"], "test": ["bird"], "unlabeled": [None, None, None]},
        ),
    ],
)
def test_channels_first_data_sets_are_transposed(
    name: str, labels: dict[str, list[str | None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"torchvision.datasets.{name}", ChannelsFirst)
    source = open_source(f"torchvision:{name}:.", base=tmp_path)
    assert source.count() == sum(map(len, labels.values()))
    for split, expected in labels.items():
        part = open_source(f"torchvision:{name}:.#{split}", base=tmp_path)
        assert [entry.label for entry in part.entries()] == expected
        for row, entry in enumerate(part.entries()):
            assert entry.id == f"{split}/{row:06d}"
            np.testing.assert_array_equal(entry.read(), split_pixels(split, row))


@pytest.mark.parametrize("name", ["CIFAR10", "MNIST", "SVHN", "STL10"])
def test_missing_data_set_error_names_the_download_option(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was accessed")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputDataError, match=f"torchvision:{name} is not in .*--download"):
        open_source(f"torchvision:{name}", base=tmp_path)
