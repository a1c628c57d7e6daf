"""Parquet pools: bytes, Hugging Face structs, paths, and damaged files."""

import json
from pathlib import Path
from typing import Any

import pytest
from sample_images import png

from dgaal_cli.data.sources import Entry, open_source
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError, MissingExtraError
from dgaal_cli.ids import SampleId

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def entries(folder: Path, columns: dict[str, Any], **options: Any) -> list[Entry]:
    pq.write_table(pa.table(columns), folder / "pool.parquet", **options)
    return list(open_source("pool.parquet", base=folder).entries())


def test_bytes_labels_splits_and_ids_are_read(tmp_path: Path) -> None:
    columns = {
        "img": [png(1), png(2)],
        "label": [7, None],
        "split": ["train", None],
        "id": ["a", ""],
    }
    one, two = entries(tmp_path, columns)
    assert (one.id, one.label, one.split, one.read()) == ("a", "7", "train", png(1))
    assert (two.id, two.label, two.split, two.read()) == ("000001", None, "", png(2))


def test_hugging_face_features_give_class_names(tmp_path: Path) -> None:
    image = pa.array([{"bytes": png(1), "path": "x.png"}, {"bytes": None, "path": "b.png"}])
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    info = json.dumps({"info": {"features": features}}).encode()
    table = pa.table({"image": image, "label": [1, 0]}).replace_schema_metadata(
        {"huggingface": info}
    )
    pq.write_table(table, tmp_path / "pool.parquet")
    (tmp_path / "b.png").write_bytes(png(2))
    one, two = open_source("pool.parquet", base=tmp_path).entries()
    assert (one.label, two.label) == ("dog", "cat")
    assert (one.read(), two.read()) == (png(1), png(2))


def test_paths_are_relative_to_the_file_and_stay_inside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (one,) = entries(tmp_path, {"file_name": ["a.png"]})
    assert one.read() == png(1)
    assert one.path == str(tmp_path / "a.png")
    for name in ("../x.png", "/etc/passwd"):
        with pytest.raises(InputDataError, match=r"row 1: .* is outside"):
            entries(tmp_path, {"file_name": ["a.png", name]})


def test_get_finds_rows_of_several_row_groups(tmp_path: Path) -> None:
    found = entries(tmp_path, {"image": [png(n) for n in range(10)]}, row_group_size=3)
    assert [entry.id for entry in found] == [f"{n:06d}" for n in range(10)]
    source = open_source("pool.parquet", base=tmp_path)
    for number in (9, 0, 4, 5):
        assert source.get(SampleId(f"{number:06d}")).read() == png(number)
    with pytest.raises(InputDataError, match="contains no image"):
        source.get(SampleId("000010"))


def test_empty_cells_are_unreadable_images(tmp_path: Path) -> None:
    found = entries(tmp_path, {"image": [png(1), None, b"x"]})
    with pytest.raises(UnreadableImageError, match="contains no image"):
        found[1].read()
    assert found[2].read() == b"x"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1.0]}, r"no column of images \(columns: x\)"),
        ({"image": pa.array([], pa.binary())}, "contains no rows"),
        ({"image": [b"1", b"2"], "id": ["a", "a"]}, "row 1: the id a occurs twice"),
    ],
)
def test_unsuitable_files_are_refused_with_the_reason(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputDataError, match=message):
        entries(tmp_path, columns)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_truncated_parquet_file_is_refused(tmp_path: Path, share: float) -> None:
    entries(tmp_path, {"image": [png(n) for n in range(10)]})
    path = tmp_path / "pool.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputDataError, match="not a readable Parquet"):
        open_source("pool.parquet", base=tmp_path)


def test_error_without_pyarrow_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries(tmp_path, {"image": [png(1)]})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"dgaal\[parquet\]"):
        open_source("pool.parquet", base=tmp_path)
