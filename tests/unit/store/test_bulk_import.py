"""Importing many labels at once gives the same store as importing them one by one."""

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from asked_stores import AskedStore, FakeClock, add_open_query, new_item
from class_labels import as_label
from label_workspaces import make_store

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.exchange.registry import load_format
from dgaal_cli.store.exchange.resolve import resolve
from dgaal_cli.store.exchange.spool import LabelSpool
from dgaal_cli.store.fold import SOURCE
from dgaal_cli.store.open import store_location
from dgaal_cli.store.records import ImportedLabel, Query, QueryEntry
from dgaal_cli.store.sqlite import imports, projection
from dgaal_cli.tasks.classification.label import ClassNames

TABLES = (
    "SELECT event_id, kind, says, item_id, annotator, label_id, note, counted, at_us, made_us "
    "FROM event ORDER BY event_id",
    "SELECT * FROM answer ORDER BY item_id, annotator",
    "SELECT * FROM flagged ORDER BY item_id, annotator",
    "SELECT * FROM verdict ORDER BY item_id",
    "SELECT item_id, done FROM item ORDER BY item_id",
)

LABELED = ("label", "adjudicate", "inherit")
KINDS = (*LABELED, "cannot_tell", "flag", "unflag", "skip", "undo")
IMAGES = 40


def asked_store(path: Path) -> AskedStore:
    path.parent.mkdir()
    asked = add_open_query(store_location(path).create(clock=FakeClock()))
    asked.store.back_up = lambda reason="": path  # type: ignore[method-assign] - for speed
    for number in range(6):
        asked.submit("ann", "label", number % 3 + 1, (asked.cat, asked.dog)[number % 2])
    asked.submit("bob", "flag", 2)
    asked.store.undo("ann", "s")
    asked.store.add_items(new_item(f"{number}.png") for number in range(6, IMAGES + 1))
    asked.store.close_query(0)
    entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(3, IMAGES // 2))
    query = Query(round=1, strategy="random", model_sha=None, entries=entries)
    asked.store.save_query(query, overlap=2)
    return asked


def random_labels(rng: random.Random, count: int) -> list[tuple[str, dict[str, Any]]]:
    """Return class names and fields of labels.

    Several are about the same image and person, some repeat an earlier line, and some images have
    one line only.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for number in range(count):
        if found and rng.random() < 0.1:
            found.append(rng.choice(found))
            continue
        kind = rng.choice(("label", *KINDS))
        image = rng.choice((rng.randint(1, 5), rng.randint(1, IMAGES)))
        given: dict[str, Any] = {
            "sample_id": SampleId(f"{image}.png"),
            "annotator": rng.choice(("ann", "bob", "eve", SOURCE)),
            "kind": kind,
        }
        if rng.random() < 0.6:
            # 2023-11-14 is the time of the answers in the store.
            day = rng.choice(("2023-11-13", "2023-11-15", "2023-11-16"))
            instant = rng.choice((0, number))
            given |= {"op_id": f"copy-{number}", "at": f"{day}T00:00:00.{instant:06d}Z"}
        found.append((rng.choice(("cat", "dog")) if kind in LABELED else "", given))
    return found


def tables_of(asked: AskedStore) -> list[Any]:
    with asked.store.database.read() as connection:  # type: ignore[attr-defined] - SQLite's own
        return [connection.execute(query).fetchall() for query in TABLES]


def differing_tables(folder: Path, seed: int, *, count: int = 60) -> int:
    """Import the same labels at once and one by one; return the number of tables that differ."""
    given = random_labels(random.Random(seed), count)
    found: list[Any] = []
    for name in ("at-once", "one-by-one"):
        asked = asked_store(folder / name / "labels.db")
        uids = {"cat": asked.cat, "dog": asked.dog, "": None}
        labels = [ImportedLabel(label=as_label(uids[cls]), **fields) for cls, fields in given]
        with asked.store as store:
            reports = [
                store.import_labels(chunk)
                for chunk in ([labels] if name == "at-once" else [[label] for label in labels])
            ]
            assert store.check() == []
            rows = tables_of(asked)
        counts = [
            sum(getattr(report, outcome) for report in reports)
            for outcome in ("added", "replaced", "unchanged", "older")
        ]
        assert sum(counts) == len(labels)
        found.append([*rows, counts])
    return sum(one != other for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("seed", [1, 2, pytest.param(range(3, 60), marks=pytest.mark.slow)])
def test_import_at_once_equals_imports_one_by_one(tmp_path: Path, seed: int | range):
    for number in [seed] if isinstance(seed, int) else seed:
        folder = tmp_path / str(number)
        folder.mkdir()
        assert differing_tables(folder, number) == 0


def test_import_of_several_batches_equals_imports_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(imports, "_BATCH", 7)
    assert differing_tables(tmp_path, 60) == 0


@pytest.mark.parametrize("name", ["refresh", "extend"])
def test_control_projection_of_the_first_item_only_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    update = getattr(projection, name)
    monkeypatch.setattr(projection, name, lambda c, chosen, **k: update(c, list(chosen)[:1], **k))
    with pytest.raises(AssertionError):
        assert differing_tables(tmp_path, 1) == 0


def test_spooled_labels_are_read_back_in_order_and_by_position():
    spool = LabelSpool()
    labels = [
        ImportedLabel(sample_id=SampleId("\udcff\n.png"), label=None, annotator="=s", kind="flag"),
        ImportedLabel(
            sample_id=SampleId("b"),
            label=as_label("0123456789abcdef"),
            annotator="\u00e9",
            note="x",
            round=3,
            op_id="o",
            at="2020-01-01",
        ),
    ]
    positions = [spool.append(label) for label in labels]
    assert [spool.read(position) for position in reversed(positions)] == labels[::-1]
    assert list(spool) == list(spool) == labels
    assert spool.read(spool.append(labels[0])) == labels[0]


def calls_of_import(folder: Path, count: int) -> int:
    """Count the calls of an import of ``count`` images, each with a new class of its own."""
    make_store(folder / f"{count}.db", count, classes=())
    table = folder / f"{count}.csv"
    rows = "".join(f"{number:06d}.png,class {number}\n" for number in range(count))
    table.write_text(f"file_name,label\n{rows}")
    calls = 0

    def count_calls(*_: object) -> None:
        nonlocal calls
        calls += 1

    with store_location(folder / f"{count}.db").open() as store:
        sys.setprofile(count_calls)
        try:
            found = resolve(
                store,
                load_format("csv").read(table),
                annotator="ann",
                may_add_classes=True,
                text=ClassNames(),
            )
            store.import_labels(found.labels, new_classes=found.new_classes)
        finally:
            sys.setprofile(None)
        assert len(store.classes()) == len(store.labels()) == count
    return calls


def test_work_of_an_import_grows_with_its_new_classes_not_with_their_square(tmp_path: Path):
    few, many = (calls_of_import(tmp_path, count) for count in (50, 400))
    assert many < 8 * few
