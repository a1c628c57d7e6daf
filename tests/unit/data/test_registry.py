"""Opening a SOURCE text, and error messages for sources that cannot be opened."""

import os
from pathlib import Path

import pytest
from sample_images import png

from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import InputDataError


def test_existing_path_with_number_sign_is_opened_literally(tmp_path: Path) -> None:
    for name in ("pool", "pool#train"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{len(name)}.png").write_bytes(png(1))
    (entry,) = open_source("pool#train", base=tmp_path).entries()
    assert entry.id == "10.png"


def test_split_of_a_folder_is_a_top_level_folder(tmp_path: Path) -> None:
    for name in ("train/a.png", "val/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(png(1))
    source = open_source(f"{tmp_path}#val", base=Path("/"))
    assert [entry.id for entry in source.entries()] == ["val/b.png"]
    assert source.spec == f"{tmp_path}#val"
    with pytest.raises(InputDataError, match="contains no image"):
        source.get(next(open_source(f"{tmp_path}#train", base=Path("/")).entries()).id)


def test_unknown_split_error_names_the_known_splits(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/a.png").write_bytes(png(1))
    with pytest.raises(InputDataError, match="has no split dev; it has train"):
        open_source(f"{tmp_path}#dev", base=Path("/"))


def test_single_image_file_is_a_pool_of_one(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(png(1))
    (entry,) = open_source("cat.png", base=tmp_path).entries()
    assert (entry.id, entry.path, entry.read()) == ("cat.png", str(tmp_path / "cat.png"), png(1))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "name of the pool is empty"),
        ("missing", "the pool missing does not exist"),
        ("missing#train", "the pool missing#train does not exist"),
        ("a\0b", "the pool .* does not exist"),
        ("builtin:faces", "the only one is builtin:digits"),
        ("file.xyz", "has a type that dgaal cannot read"),
        ("pipe", "not a file or folder, but a pipe"),
        ("pool-{0..3}.tar", "the pool .* does not exist"),
        ("pool-{0..999999999}.tar", "not a valid list of shards"),
        ("torchvision:Nothing", "torchvision:Nothing is unknown; use one of CIFAR10"),
        ("~nobody_of_that_name/x", "the pool .* does not exist"),
        ("\x1b[2J", r"the pool \\u\{1b\}\[2J does not exist"),
    ],
)
def test_source_that_cannot_be_opened_is_refused_with_the_reason(
    tmp_path: Path, spec: str, message: str
) -> None:
    (tmp_path / "file.xyz").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputDataError, match=message) as caught:
        open_source(spec, base=tmp_path)
    assert caught.value.exit_code == 2
    assert "\x1b" not in str(caught.value)
