"""The contract of exchange formats: export and import give the same labels, or one error."""

import csv
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asked_stores import FakeClock
from class_labels import as_label, name_of
from hypothesis import given, settings
from hypothesis import strategies as st

from dgaal_cli.atomic import assembling
from dgaal_cli.errors import InputDataError, StorageError, UsageError
from dgaal_cli.escaping import cell, uncell
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.exchange.base import Document, ExportJob, FileFormat
from dgaal_cli.store.exchange.csv_table import CsvTable
from dgaal_cli.store.exchange.marks import digest
from dgaal_cli.store.exchange.registry import FORMATS, guess_format, load_format
from dgaal_cli.store.exchange.resolve import resolve
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, ImportReport, NewItem, NewSynthetic, Query, QueryEntry
from dgaal_cli.tasks.classification.label import ClassNames

NAMES = [
    "a.png",
    "deep/er/b.jpg",
    "\udcff\udcfe.png",
    "new\nline.png",
    "\x1b]52;c;aGk=\x07.png",
    "[/red].png",
    "=1+1.png",
    "'quoted.png",
    "'=x.png",
    "100%25.png",
    "back\\x41slash \\u{5c}.png",
    "\u202egnp.png",
    'comma, "quote".png',
    " space .png",
]
CLASSES = ["cat", "=dog", "a/b", "..", ".hidden", "50%", "\u00e9t\u00e9", "'7", "con"]


class Files:
    """Images in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sample_id: SampleId, *, is_synthetic: bool) -> str:
        return str(self.root / sample_id)

    def known_digest(self, sample_id: SampleId, path: str) -> bytes | None:
        return None

    def content(self, sample_id: SampleId, *, is_synthetic: bool) -> tuple[bytes, str]:
        raise AssertionError


class Arrays:
    """Images without files."""

    def path(self, sample_id: SampleId, *, is_synthetic: bool) -> None:
        return None

    def content(self, sample_id: SampleId, *, is_synthetic: bool) -> tuple[bytes, str]:
        suffix = "" if sample_id[-4:-3] == "." else ".png"
        return f"bytes of {sample_id}".encode("utf-8", "surrogateescape"), suffix


def content_of(name: str) -> bytes:
    return b"image " + name.encode("utf-8", "surrogateescape")


def item_of(name: str) -> NewItem:
    digest = hashlib.sha256(content_of(name)).digest()
    return NewItem(sample_id=SampleId(name), sha256=digest, size_bytes=9, width=8, height=6)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    root = tmp_path / "pool"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content_of(name))
    return root


def new_store(path: Path, names: list[str] | None = None) -> Store:
    store = store_location(path).create(clock=FakeClock(1_700_000_000.25))
    store.add_items(item_of(name) for name in (NAMES if names is None else names))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path / "one.db") as opened:
        uids = [opened.add_class(name).uid for name in CLASSES]
        for number, item in enumerate(opened.items()):
            answer = Answer(
                op_id=f"op{number}",
                kind="label",
                item_id=item.item_id,
                label=as_label(uids[number % len(uids)]),
                elapsed_ms=number,
                note="\x1b[2J" if number == 3 else "",
            )
            opened.submit(answer, annotator="=sam\u00e9", session="s")
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path / "two.db", list(reversed(NAMES))) as opened:
        yield opened


def job_of(store: Store, images: Any, **changes: Any) -> ExportJob:
    return ExportJob(
        **{
            "answers": store.answers(),
            "labels": list(store.effective_answers()),
            "withdrawn": list(store.withdrawn()),
            "classes": store.classes(),
            "names": store.class_names(),
            "text": ClassNames(),
            "images": images,
            **changes,
        }
    )


def write(name: str, job: ExportJob, folder: Path, stem: str = "labels") -> Path:
    format_ = load_format(name)
    if isinstance(format_, FileFormat):
        target = folder / f"{stem}{format_.suffix}"
        with target.open("wb") as stream:
            count = format_.write(stream, job)
    else:
        target = folder / f"{stem}-{name}"
        with assembling(target) as temporary:
            count = format_.fill(temporary, job)
    assert count == len([*job.labels])
    return target


def import_file(name: str, path: Path, store: Store, **options: Any) -> ImportReport:
    options = {"annotator": "ext", "may_add_classes": True, "text": ClassNames(), **options}
    found = resolve(store, load_format(name).read(path), **options)
    report = store.import_labels(found.labels, new_classes=found.new_classes)
    return replace(report, unchanged=report.unchanged + found.untouched)


def names_of(store: Store) -> dict[str, str]:
    return {label.sample_id: name_of(store, label) for label in store.labels()}


@pytest.mark.parametrize("name", FORMATS)
def test_labels_survive_export_and_import(name, store, other, pool, tmp_path):
    path = write(name, job_of(store, Files(pool)), tmp_path)
    report = import_file(name, path, other)
    assert report == ImportReport(added=len(NAMES), replaced=0, unchanged=0)
    assert names_of(other) == names_of(store)
    assert other.check() == []


@pytest.mark.parametrize("name", FORMATS)
def test_importing_an_own_export_changes_nothing(name, store, pool, tmp_path):
    before = store.labels()
    path = write(name, job_of(store, Files(pool)), tmp_path)
    report = import_file(name, path, store, annotator="=sam\u00e9")
    assert report == ImportReport(added=0, replaced=0, unchanged=len(NAMES))
    assert store.labels() == before


@pytest.mark.parametrize("name", FORMATS)
def test_export_is_deterministic(name, store, pool, tmp_path):
    def digest(path: Path) -> list[tuple[str, bytes]]:
        if path.is_file():
            return [("", path.read_bytes())]
        return sorted(
            (file.relative_to(path).as_posix(), file.read_bytes())
            for file in path.rglob("*")
            if file.is_file()
        )

    first = write(name, job_of(store, Files(pool)), tmp_path, "first")
    second = write(name, job_of(store, Files(pool)), tmp_path, "second")
    assert digest(first) == digest(second)


@pytest.mark.parametrize("name", [n for n in FORMATS if n != "imagefolder"])
def test_exported_text_has_no_terminal_control_characters(name, store, pool, tmp_path):
    path = write(name, job_of(store, Files(pool)), tmp_path)
    texts = [path] if path.is_file() else [*path.glob("*.json"), *path.glob("*.jsonl")]
    (text,) = texts
    raw = text.read_bytes().decode()  # UTF-8 without surrogates
    assert not [c for c in raw if ord(c) < 32 and c != "\n"]
    assert "\x9b" not in raw
    assert "\u202e" not in raw


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone", "hf"])
def test_images_without_files_are_exported_and_imported_again(name, tmp_path):
    with new_store(tmp_path / "x.db", ["train/000001", "train/000002"]) as store:
        uid = store.add_class("cat").uid
        for item in store.items():
            store.submit(
                Answer(
                    op_id=item.sample_id, kind="label", item_id=item.item_id, label=as_label(uid)
                ),
                annotator="sam",
                session="s",
            )
        path = write(name, job_of(store, Arrays()), tmp_path)
        found = {file.name: file.read_bytes() for file in path.rglob("*.png")}
        digits = 7 if name == "hf" else 6  # hf: "train" would be read as a split
        assert found == {
            f"{number:0{digits}d}.png": f"bytes of train/00000{number}".encode()
            for number in (1, 2)
        }
        report = import_file(name, path, store, annotator="ext")
        assert report.added + report.unchanged == 2


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_image_folder_links_or_copies_the_files_of_the_pool(link, store, pool, tmp_path):
    path = write("imagefolder", job_of(store, Files(pool), link=link), tmp_path)
    exported = path / "cat" / "a.png"
    assert exported.read_bytes() == b"image a.png"
    assert exported.is_symlink() is (link == "symlink")
    assert exported.samefile(pool / "a.png") is (link != "copy")
    assert (path / "a%2Fb" / "\udcff\udcfe.png").exists()
    assert (path / "%2E.").is_dir()
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_image_folder_contains_the_files_that_links_in_the_pool_name(link, store, pool, tmp_path):
    (pool / "a.png").rename(tmp_path / "away")
    (pool / "a.png").symlink_to("../away")
    path = write("imagefolder", job_of(store, Files(pool), link=link), tmp_path)
    exported = path / "cat" / "a.png"
    assert exported.read_bytes() == b"image a.png"
    assert exported.samefile(tmp_path / "away") is (link != "copy")
    assert exported.is_symlink() is (link == "symlink")


def test_export_refuses_changed_and_missing_images(store, pool, tmp_path):
    (pool / "a.png").write_bytes(b"another picture")
    with pytest.raises(InputDataError, match=r"a\.png has changed since it was labeled"):
        write("imagefolder", job_of(store, Files(pool)), tmp_path)
    (pool / "a.png").unlink()
    with pytest.raises(InputDataError, match=r"a\.png is missing"):
        write("hf", job_of(store, Files(pool)), tmp_path)
    left = {path.name for path in tmp_path.iterdir()} - {"one.db-journal"}
    assert left == {"pool", "one.db", ".locks"}


@pytest.mark.parametrize("link", ["symlink", "copy"])
def test_export_names_an_image_that_cannot_be_read(link, store, pool, tmp_path):
    (pool / "a.png").unlink()
    (pool / "a.png").symlink_to("a.png")  # opening a link to itself fails
    with pytest.raises(StorageError, match=r"cannot read image a\.png: Too many levels"):
        write("imagefolder", job_of(store, Files(pool), link=link), tmp_path)


def test_folder_export_refuses_existing_folder(store, pool, tmp_path):
    path = write("imagefolder", job_of(store, Files(pool)), tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        write("imagefolder", job_of(store, Files(pool)), tmp_path)
    assert (path / "cat" / "a.png").exists()


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone", "hf"])
@pytest.mark.parametrize("sample", ["../evil.png", "/etc/evil.png", "a/../../b.png", "a//b"])
def test_export_refuses_sample_ids_outside_the_folder(name, sample, tmp_path):
    with new_store(tmp_path / "x.db", [sample]) as store:
        answer = Answer(
            op_id="1", kind="label", item_id=ItemId(1), label=as_label(store.add_class("cat").uid)
        )
        store.submit(answer, annotator="sam", session="s")
        with pytest.raises(InputDataError, match="cannot be written to a folder"):
            write(name, job_of(store, Arrays()), tmp_path)


def test_fiftyone_refuses_file_names_with_equal_stems(tmp_path):
    with new_store(tmp_path / "x.db", ["a.png", "a.jpg"]) as store:
        uid = store.add_class("cat").uid
        for number in (1, 2):
            store.submit(
                Answer(
                    op_id=str(number), kind="label", item_id=ItemId(number), label=as_label(uid)
                ),
                annotator="sam",
                session="s",
            )
        with pytest.raises(InputDataError, match="export to coco"):
            write("fiftyone", job_of(store, Arrays()), tmp_path)


def rich_store(path: Path) -> Store:
    """Return a store with answers of every kind, corrections, an undo and a synthetic image."""
    store = new_store(path)
    cat, dog = (store.add_class(name).uid for name in ("cat", "dog"))
    synthetic_ids = store.add_synthetic(
        [
            NewSynthetic(
                sample_id=SampleId("synthetic/000/1.png"),
                sha256=b"s" * 32,
                size_bytes=1,
                width=8,
                height=8,
                parent=ItemId(1),
                round=0,
                inherited=as_label(dog),
            )
        ]
    )
    entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, 6))
    store.save_query(Query(round=4, strategy="x", model_sha=None, entries=entries), overlap=2)
    answers = [
        ("ann", "label", 1, cat),
        ("bob", "label", 1, dog),
        ("ann", "label", 2, cat),
        ("ann", "cannot_tell", 3, None),
        ("rev", "adjudicate", 1, dog),
        ("bob", "label", 2, cat),
        ("ann", "label", 2, dog),
        ("bob", "skip", 4, None),
        ("bob", "flag", 5, None),
        ("ann", "label", 5, cat),
    ]
    for number, (annotator, kind, item, uid) in enumerate(answers):
        answer = Answer(op_id=str(number), kind=kind, item_id=ItemId(item), label=as_label(uid))
        store.submit(answer, annotator=annotator, session="s")
    store.undo("ann", "s")
    store.promote_synthetic(synthetic_ids, 4)
    return store


def test_jsonl_round_trip_is_lossless(tmp_path):
    with rich_store(tmp_path / "one.db") as store, rich_store(tmp_path / "two.db") as other:
        exported = write(
            "jsonl", job_of(store, None, answers=[], labels=[], withdrawn=[]), tmp_path, "none"
        )
        assert exported.read_bytes() == b""
        buffer = io.BytesIO()
        load_format("jsonl").write(buffer, job_of(store, None))
        kinds = [json.loads(line)["kind"] for line in buffer.getvalue().splitlines()]
        given = ["label", "label", "cannot_tell", "adjudicate", "label", "label", "flag", "inherit"]
        assert sorted(kinds[:8]) == sorted(given)
        assert kinds[8:] == ["skip", "undo"]
        path = tmp_path / "all.jsonl"
        path.write_bytes(buffer.getvalue())
        with new_store(tmp_path / "three.db") as fresh:
            for record in store.classes():
                fresh.add_class(record.name, uid=record.uid)
            fresh.add_synthetic(
                [
                    NewSynthetic(
                        sample_id=SampleId("synthetic/000/1.png"),
                        sha256=b"s" * 32,
                        size_bytes=1,
                        width=8,
                        height=8,
                        parent=ItemId(1),
                        round=0,
                        inherited=None,
                    )
                ]
            )
            assert import_file("jsonl", path, fresh).added == 8
            again = io.BytesIO()
            load_format("jsonl").write(again, job_of(fresh, None))
            assert again.getvalue() == buffer.getvalue()
            assert names_of(fresh) == names_of(store)
            assert fresh.cannot_tell() == store.cannot_tell() == {3}
            assert [i.item_id for i in fresh.flagged()] == [5]
            assert [r.provenance for r in fresh.labels()] == [r.provenance for r in store.labels()]
        assert names_of(other) == names_of(store)


@pytest.mark.parametrize("text", [*NAMES, *CLASSES, "+1", "@SUM(A1)", "\t=1", "\uff1d1", "''", "'"])
def test_csv_cells_are_restored_and_do_not_start_like_formulas(text):
    escaped = cell(text)
    assert uncell(escaped) == text
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b"))
    assert escaped.isprintable()


def test_csv_has_the_documented_columns(store, pool, tmp_path):
    path = write("csv", job_of(store, Files(pool)), tmp_path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    row = next(row for row in rows if row["file_name"] == "a.png")
    assert row == {
        "file_name": "a.png",
        "label": "cat",
        "annotator": "'=sam\u00e9",
        "provenance": "human",
        "at": "2023-11-14T22:13:20.250000Z",
        "round": "",
        "exported": f"{digest('label', 'cat')}-op0",
    }


CSV_ERRORS = {
    "": "is empty",
    "name,label\na.png,cat\n": "line 1: no column file_name",
    "file_name,lable\na.png,cat\n": "line 1: no column label",
    "file_name,label,label\na.png,cat,dog\n": "line 1: a column is named twice",
    "file_name,label\na.png,cat\nzzz.png,cat\n": (
        "line 3, column file_name: this workspace has no image zzz"
    ),
    "file_name,label\na.png,cta\n": "column label: no class is named cta; did you mean 'cat'",
    "file_name,label\na.png,cat,3\n": "line 2: 3 cells, the header names 2 columns",
    "file_name,label\n,cat\n": "line 2, column file_name: the name is missing",
    "file_name,label\na.png,cat\na.png,=dog\n": "line 3: a.png has another label than at",
    "file_name,label,round\na.png,cat,1e5\n": "line 2, column round",
    "file_name,label,at\na.png,cat,noon\n": "line 2, column at",
    "file_name,label,provenance\na.png,cat,magic\n": "line 2, column provenance",
    'file_name,label\n"a.png,cat\n': "line 2",
    'file_name,label\n"a"b,cat\n': "line 2",
}


@pytest.mark.parametrize("text", CSV_ERRORS)
def test_csv_errors_name_file_and_line_and_nothing_is_imported(text, store, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(text)
    before = store.watermark()
    with pytest.raises(InputDataError) as caught:
        import_file("csv", path, store, may_add_classes=False)
    assert CSV_ERRORS[text] in str(caught.value)
    assert str(caught.value).startswith("in.csv")
    assert store.watermark() == before


def test_csv_with_bom_crlf_and_other_columns_is_read(other, tmp_path):
    other.add_class("cat")
    path = tmp_path / "in.csv"
    path.write_bytes(b"\xef\xbb\xbfextra,id,label\r\n1,a.png,cat\r\n2,deep/er/b.jpg,\r\n\r\n")
    assert import_file("csv", path, other, may_add_classes=False).added == 1
    assert names_of(other) == {"a.png": "cat"}


SPREADSHEET_TIMES = (
    *("1/31/2026 12:00", "31.01.2026 12:00:05", "31.1.26", "2026/01/31 9:05", "00:12.5", ""),
    *("1/31/26, 9:05 PM", "46053.5", "46053", "2026-01-31 12:00:05", "31-01-2026 09:05"),
)


@pytest.mark.parametrize("time", SPREADSHEET_TIMES)
def test_times_that_a_spreadsheet_wrote_in_its_own_way_are_read(time, other, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(f'file_name,label,at\na.png,cat,"{time}"\n')
    assert import_file("csv", path, other).added == 1
    assert names_of(other) == {"a.png": "cat"}


def test_export_that_a_spreadsheet_wrote_back_changes_nothing(store, pool, tmp_path):
    path = write("csv", job_of(store, Files(pool)), tmp_path)
    rows = list(csv.reader(path.read_text().splitlines()))
    for row in rows[1:]:
        row[rows[0].index("at")] = "1/31/2026 12:00"
    with path.open("w") as stream:
        csv.writer(stream).writerows(rows)
    before = store.watermark(), names_of(store)
    import_file("csv", path, store)
    assert (store.watermark(), names_of(store)) == before


@pytest.mark.parametrize("time", ["yesterday", "12 o'clock", "1/2", "2026013"])
def test_control_text_that_is_no_time_is_refused(time, other, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(f"file_name,label,at\na.png,cat,{time}\n")
    with pytest.raises(InputDataError, match="line 2, column at"):
        import_file("csv", path, other)


def test_columns_of_a_csv_can_be_chosen(other, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,image,label,choice\n1,a.png,no,cat\n2,b.jpg,no,dog\n")
    read = CsvTable(control="choice", image_key="image").read(path)
    found = resolve(other, read, annotator="x", may_add_classes=True, text=ClassNames())
    other.import_labels(found.labels, new_classes=found.new_classes)
    assert names_of(other) == {"a.png": "cat", "deep/er/b.jpg": "dog"}
    with pytest.raises(InputDataError, match="no column animal; the columns are id, image"):
        list(CsvTable(control="animal").read(path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"file_name,label\na.png,\xff\n", "line 2, column 7: not UTF-8"),
        (b"file_name,label\n" + b"a" * (2**20 + 9), "line 2: longer than"),
    ],
)
def test_csv_that_is_not_text_is_refused(data, message, store, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(data)
    with pytest.raises(InputDataError, match=message):
        import_file("csv", path, store)


JSONL_ERRORS = {
    "{": "line 1, column 2",
    '{"file_name": "a.png", "label": "cat"}\n[1]\n': "line 2: Expected `object`",
    '{"file_name": 7.5, "label": "cat"}': "line 1: Expected",
    '{"label": "cat"}': "line 1, column file_name: the name is missing",
    '{"file_name": "a.png", "label": NaN}': "line 1: NaN is not a number",
    '{"file_name": "a.png", "label": "cat", "round": -1}': "line 1, column round",
    '{"file_name": "a.png", "label": "cat", "round": 1' + "0" * 400 + "}": "line 1",
    '{"file_name": "a.png", "label": "cat", "x": ' + "9" * 5000 + "}": "line 1",
    '{"a":' + "[" * 100_000: "line 1",
    '{"file_name": "a.png", "label": "cat", "sha256": "00"}': "line 1, column sha256",
    '{"file_name": "a.png", "label": "cat", "kind": "cannot_tell"}': "line 1, column label",
    '{"file_name": "a.png", "label": "cat", "kind": "redo"}': "line 1: Invalid enum value",
    '{"file_name": "a.png", "label": "cat", "kind": "undo"}': "line 1, column label",
    '{"file_name": "a.png", "label": "cat", "op_id": "x"}': "line 1, column at",
    '{"file_name": "a.png", "label": "cat", "op_id": "", "at": "2020-01-01"}': "column op_id",
    '{"file_name": "a.png", "label": "cat", "op_id": "\\ud800", "at": "2020-01-01"}': "line 1",
    '{"file_name": "a.png", "label": "cat", "op_id": "x", "at": "9999-01-01"}': "year 3000",
    '{"file_name": "a.png", "label": "cat", "changed": "2020-01-01"}': "line 1, column changed",
    '{"file_name": "a.png", "label": "=dog", "op_id": "op0", "at": "2020-01-01"}': (
        "line 1: the op_id belongs to another answer"
    ),
    '{"file_name": "\\ud800", "label": "cat"}': "line 1, column file_name",
}


@pytest.mark.parametrize("text", JSONL_ERRORS)
def test_jsonl_errors_name_the_line_and_nothing_is_imported(text, store, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(text)
    before = store.watermark()
    with pytest.raises(InputDataError) as caught:
        import_file("jsonl", path, store, may_add_classes=False)
    assert JSONL_ERRORS[text] in str(caught.value)
    assert store.watermark() == before


COCO = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "deep/er/b.jpg"}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 8, "category_id": 3, "bbox": [0, 0, 1, 1], "iscrowd": 0}],
}


def test_coco_file_of_other_tools_is_read(other, tmp_path):
    path = tmp_path / "in.json"
    path.write_text(json.dumps(COCO))
    assert import_file("coco", path, other).added == 1
    assert names_of(other) == {"deep/er/b.jpg": "cat"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [{"image_id": 9, "category_id": 3}]}, r"annotations\[0\]: no image has"),
        ({"annotations": [{"image_id": 7, "category_id": 4}]}, r"annotations\[0\]: no category"),
        ({"annotations": [{"image_id": [], "category_id": 4}]}, r"annotations\[0\]: Expected"),
        ({"images": [{"id": 1}]}, r"images\[0\]: Object missing required field `file_name`"),
        ({"images": 5}, "Expected `array`"),
    ],
)
def test_errors_in_coco_files_name_the_position(change, message, other, tmp_path):
    path = tmp_path / "in.json"
    path.write_text(json.dumps({**COCO, **change}))
    with pytest.raises(InputDataError, match=message):
        import_file("coco", path, other)


def label_studio_task(image: str, *choices: str, **changes: Any) -> dict[str, Any]:
    result = {"type": "choices", "from_name": "c", "to_name": "i", "value": {"choices": choices}}
    annotation = {"id": 1, "result": [result], "completed_by": 3, **changes}
    return {"id": 1, "data": {"image": image}, "annotations": [annotation], "predictions": []}


@pytest.mark.parametrize(
    "image",
    ["a.png", "/data/local-files/?d=pool/a.png", "https://host/bucket/x/a.png", "s3://b/a.png"],
)
def test_label_studio_urls_are_matched_to_images(image, other, tmp_path):
    path = tmp_path / "in.json"
    tasks = [label_studio_task(image, "cat"), label_studio_task("x", "cat", was_cancelled=True)]
    path.write_text(json.dumps(tasks))
    assert import_file("labelstudio", path, other).added == 1
    assert names_of(other) == {"a.png": "cat"}


def test_label_studio_tasks_with_two_choices_are_refused(other, tmp_path):
    path = tmp_path / "in.json"
    path.write_text(json.dumps([label_studio_task("a.png", "cat", "dog")]))
    with pytest.raises(InputDataError, match="task 1: 2 choices"):
        import_file("labelstudio", path, other)


def test_fiftyone_targets_may_be_names_or_missing(other, tmp_path):
    (tmp_path / "labels.json").write_text(
        json.dumps({"labels": {"a.png": "cat", "deep/er/b.jpg": None}})
    )
    assert import_file("fiftyone", tmp_path, other).added == 1
    (tmp_path / "labels.json").write_text(json.dumps({"classes": ["cat"], "labels": {"a.png": 1}}))
    with pytest.raises(InputDataError, match="target 1 is not an index"):
        import_file("fiftyone", tmp_path, other)


def test_new_classes_are_imported_with_labels_only_if_allowed(other, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("file_name,label\na.png,new one\n'quoted.png,new one\n")
    with pytest.raises(InputDataError, match="--add-classes"):
        import_file("csv", path, other, may_add_classes=False)
    assert other.classes() == []
    assert import_file("csv", path, other).added == 2
    assert [record.name for record in other.classes()] == ["new one"]
    path.write_text("file_name,label\na.png,New One\n")
    with pytest.raises(InputDataError, match="only in case"):
        import_file("csv", path, other)
    path.write_text("file_name,label\na.png,x\x07y\n")
    with pytest.raises(InputDataError, match="line 2, column label"):
        import_file("csv", path, other)


def test_dry_run_reports_changes_and_stores_nothing(other, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("file_name,label\na.png,cat\n")
    found = resolve(
        other, load_format("csv").read(path), annotator="x", may_add_classes=True, text=ClassNames()
    )
    report = other.import_labels(found.labels, new_classes=found.new_classes, is_dry_run=True)
    assert report == ImportReport(added=1, replaced=0, unchanged=0)
    assert (other.watermark(), other.classes()) == (0, [])
    assert other.import_labels(found.labels, new_classes=found.new_classes) == report


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.csv", "csv"), ("x.JSONL", "jsonl"), ("metadata.jsonl", "hf"), (".", "imagefolder")],
)
def test_format_is_guessed_from_the_file_name(name, expected, tmp_path):
    assert guess_format(tmp_path / name) == expected


def test_errors_of_ambiguous_and_unknown_formats_list_all_formats(tmp_path):
    for call in (lambda: guess_format(tmp_path / "x.json"), lambda: load_format("xml")):
        with pytest.raises(UsageError, match="csv, jsonl, imagefolder, coco"):
            call()


MISTAKES = {
    "coco": (
        {**COCO, "annotations": [*COCO["annotations"], {"image_id": 7, "category_id": 4}]},
        ["annotations"],
        1,
        "annotations[1]: no category has the id 4",
    ),
    "labelstudio": (
        [label_studio_task("a.png", "cat"), label_studio_task("x.png", "cat")],
        [],
        1,
        "task 2, field file_name: this workspace has no image x.png",
    ),
    "fiftyone": (
        {"classes": ["cat", "cow"], "labels": {"a.png": 0, "deep/er/b.jpg": 1}},
        ["labels"],
        "deep/er/b.jpg",
        "labels[deep/er/b.jpg], field label: no class is named cow",
    ),
}


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("name", MISTAKES)
def test_errors_in_json_documents_name_line_and_column(name, indent, other, tmp_path):
    document, keys, child, message = MISTAKES[name]
    other.add_class("cat")
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    path = tmp_path / "in.json"
    path.write_text("\ufeff" + text, encoding="utf-8")
    with pytest.raises(InputDataError) as caught:
        import_file(name, path, other, may_add_classes=False)
    match = re.match(r"in\.json, line (\d+), column (\d+), (.*)", str(caught.value), re.DOTALL)
    assert match[3].startswith(message)
    line, column = int(match[1]), int(match[2])
    rest = "\n".join(text.split("\n")[line - 1 :])[column - 1 :]
    found, _ = json.JSONDecoder().raw_decode(rest)
    for key in [*keys, child]:
        document = document[key]
    assert json.dumps(found) == json.dumps(document)


@settings(max_examples=100, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    indent=st.sampled_from([None, 0, 2]),
)
def test_positions_of_json_children_are_correct(value, indent):
    document = {"a": 1, "children": value if isinstance(value, list | dict) else [value]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.json")
        path.write_text(json.dumps(document, indent=indent))
        read = Document(path)
    lines = json.dumps(document, indent=indent).split("\n")
    children = document["children"]
    names = list(range(len(children))) if isinstance(children, list) else list(children)
    places = list(read.places("children"))
    assert [name for name, _ in places] == names
    for name, place in places:
        line, column = map(int, re.findall(r"(?:line|column) (\d+)", place))
        rest = "\n".join(lines[line - 1 :])[column - 1 :]
        assert json.JSONDecoder().raw_decode(rest)[0] == children[name]


def test_jsonl_line_of_a_copy_is_ordered_by_the_time_of_its_change(other, tmp_path):
    other.add_class("cat")
    path = tmp_path / "in.jsonl"
    line = {"file_name": "a.png", "label": "cat", "annotator": "ann", "op_id": "x"}
    late = {**line, "at": "9999-01-01", "changed": "2020-01-01T00:00:00Z"}
    path.write_text(json.dumps(late) + "\n")
    assert import_file("jsonl", path, other, may_add_classes=False).added == 1
    (answer,) = other.answers()
    assert (answer.at[:4], answer.changed_at) == ("9999", "2020-01-01T00:00:00.000000Z")


def test_jsonl_with_one_op_id_for_two_images_is_refused(other, tmp_path):
    other.add_class("cat")
    path = tmp_path / "in.jsonl"
    line = {"label": "cat", "annotator": "ann", "op_id": "x", "at": "2020-01-01"}
    path.write_text(
        "".join(json.dumps({"file_name": name, **line}) + "\n" for name in ("a.png", NAMES[1]))
    )
    with pytest.raises(InputDataError, match="line 2: the op_id belongs to another answer"):
        import_file("jsonl", path, other, may_add_classes=False)
    assert other.watermark() == 0
