"""CSV and JSONL pool manifests, valid and malformed."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_images import png

from dgaal_cli.data.sources import Entry, open_source
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId


def entries(folder: Path, text: str | bytes, *, name: str = "pool.csv") -> list[Entry]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(open_source(name, base=folder).entries())


def test_csv_columns_become_id_label_and_split(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a b.png").write_bytes(png(1))
    text = '\ufefflabel,file_name,id,extra,split\r\ncat,"sub/a b.png",one,x,train\r\n,b.png,,y,\r\n'
    one, two = entries(tmp_path, text)
    assert (one.id, one.label, one.split) == ("one", "cat", "train")
    assert one.read() == png(1)
    assert (two.id, two.label, two.split) == ("b.png", None, "")


def test_jsonl_rows_require_only_the_file_name(tmp_path: Path) -> None:
    text = '{"file_name": "a.png", "label": 3, "other": {"x": 1}}\n\n{"file_name": "b.png"}\n'
    one, two = entries(tmp_path, text, name="pool.jsonl")
    assert (one.id, one.label, two.id, two.label) == ("a.png", "3", "b.png", None)


def test_names_that_are_not_utf8_work_in_both_formats(tmp_path: Path) -> None:
    path = tmp_path / b"\xff.png".decode("utf-8", "surrogateescape")
    path.write_bytes(png(2))
    (one,) = entries(tmp_path, b"file_name\n\xff.png\n")
    assert one.read() == png(2)
    (two,) = entries(tmp_path, '{"file_name": "\\udcff.png"}\n', name="pool.jsonl")
    assert two.read() == png(2)
    assert one.id == two.id


def test_group_column_is_read_and_an_empty_group_is_none(tmp_path: Path) -> None:
    csv = entries(tmp_path, "file_name,group\na.png, p1 \nb.png,\n")
    assert [entry.group for entry in csv] == ["p1", ""]
    lines = '{"file_name": "a.png", "group": 7}\n{"file_name": "b.png", "group": null}\n'
    jsonl = entries(tmp_path, lines, name="pool.jsonl")
    assert [entry.group for entry in jsonl] == ["7", ""]


@pytest.mark.parametrize("suffix", ["#train", "#test"])
def test_split_selects_its_rows(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "m.csv").write_text("file_name,split\na.png,train\nb.png,test\nc.png,train\n")
    names = [entry.id for entry in open_source(f"m.csv{suffix}", base=tmp_path).entries()]
    assert names == {"#train": ["a.png", "c.png"], "#test": ["b.png"]}[suffix]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na.png\n", "line 1: the header has no column file_name"),
        ("", "line 1"),
        ("file_name,label\na.png\n", "line 2: 1 cells under 2 columns"),
        ("file_name\na.png\n../b.png\n", "line 3: ../b.png is outside"),
        ("file_name\n/etc/passwd\n", "line 2: /etc/passwd is outside"),
        ("file_name\na.png\nb.png\na.png\n", "line 4: the id a.png occurs twice"),
        ("file_name,label\n,cat\n", "line 2: file_name is empty"),
        ('file_name\n"a.png\n', "unexpected end of data"),
        ("file_name\na\0b.png\n", "line 2"),
        ("file_name\n" + "x" * 5000 + "\n", "over 4096 long"),
        ("file_name\n" + "x" * 2_000_000 + "\n", "line 2: longer than"),
    ],
)
def test_csv_error_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        entries(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "not a JSON object"),
        ("{", "not valid JSON"),
        ('{"file_name": NaN}', "not valid JSON"),
        ('{"file_name": 1.5}', "file_name must be a text"),
        ('{"file_name": "b.png", "label": true}', "label must be a text"),
        ('{"file_name": "b.png", "label": ["x"]}', "label must be a text"),
        ('{"file_name": "\\ud800.png"}', "half a character"),
        ('{"file_name": ' + "[" * 100_000, "not valid JSON"),
        ('{"file_name": "b.png", "id": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"label": "x"}', "file_name is empty"),
    ],
)
def test_jsonl_error_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputDataError, match=f"line 2: .*{message}"):
        entries(tmp_path, '{"file_name": "a.png"}\n' + line + "\n", name="pool.jsonl")


def test_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(png(1))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(InputDataError, match="is outside"):
        entries(inside, "file_name\nlink.png\n")


def test_error_escapes_control_characters_in_file_name(tmp_path: Path) -> None:
    with pytest.raises(InputDataError) as caught:
        entries(tmp_path, "file_name\n../\x1b]52;c;x\x07.png\n")
    assert "\x1b" not in str(caught.value)
    assert "\\u{1b}" in str(caught.value)


def test_an_empty_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="names no images"):
        entries(tmp_path, "file_name\n")


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.binary(max_size=300), suffix=st.sampled_from([".csv", ".jsonl"]))
def test_any_bytes_give_entries_or_an_input_data_error(
    tmp_path: Path, data: bytes, suffix: str
) -> None:
    with contextlib.suppress(InputDataError):
        entries(tmp_path, b"file_name\n" + data if suffix == ".csv" else data, name=f"m{suffix}")


def test_images_of_another_folder_are_listed_with_its_root(tmp_path: Path) -> None:
    for name in ("scans/a.png", "scans/deep/b.png", "scans.csv", "elsewhere.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "m.csv").write_text("file_name,label\na.png,cat\ndeep/b.png,dog\n")
    root = tmp_path / "data" / "scans"
    source = open_source(f"m.csv#root={root}", base=lists)
    assert [(e.id, e.label, e.read()) for e in source.entries()] == [
        ("a.png", "cat", b"scans/a.png"),
        ("deep/b.png", "dog", b"scans/deep/b.png"),
    ]
    assert source.spec == f"{lists / 'm.csv'}#root={root}"
    assert open_source(source.spec, base=tmp_path).get(SampleId("a.png")).read() == b"scans/a.png"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("m.csv", r"line 2: \.\./x\.png is outside the folder .*lists; .* m\.csv#root=FOLDER"),
        ("m.csv#root={root}/lists", r"\.\./x\.png is outside the folder"),
        ("m.csv#root=lists", "has no folder lists; write an absolute path"),
        ("m.csv#root=/nowhere/at/all", "has no folder /nowhere/at/all"),
        ("x.png#root={root}", "is no manifest"),
    ],
)
def test_root_that_cannot_be_used_is_refused(spec: str, message: str, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "m.csv").write_text("file_name\n../x.png\n")
    with pytest.raises(InputDataError, match=message):
        list(open_source(spec.format(root=tmp_path), base=lists).entries())
