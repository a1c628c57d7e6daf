"""Lines find their image by the whole path, or by a part of it that fits one image only."""

import csv
from pathlib import Path
from typing import Any

import pytest
from asked_stores import new_item
from class_labels import name_of

from dgaal_cli.errors import InputDataError
from dgaal_cli.store.exchange import find_images
from dgaal_cli.store.exchange.csv_table import CsvTable
from dgaal_cli.store.exchange.resolve import Resolved, resolve
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.tasks.classification.label import ClassNames

POOL = ("im0.png", "cat/im1.png", "x/cat/im2.png", "y/im2.png", "caf\u00e9.png", "cat/im0.png")


@pytest.fixture
def store(tmp_path: Path):
    with store_location(tmp_path / "labels.db").create() as opened:
        opened.add_class("cat")
        opened.add_items(new_item(name) for name in POOL)
        yield opened


def take(store: Store, folder: Path, *names: str, **options: Any) -> Resolved:
    path = folder / "in.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "label"), *((name, "cat") for name in names)])
    found = resolve(
        store,
        CsvTable().read(path),
        text=ClassNames(),
        annotator="a",
        may_add_classes=False,
        **options,
    )
    store.import_labels(found.labels)
    return found


def labels_of(store: Store) -> dict[str, str | None]:
    return {label.sample_id: name_of(store, label) for label in store.labels()}


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("im1.png", "cat/im1.png"),
        ("/data/old/cat/im1.png", "cat/im1.png"),
        (".\\cat\\im1.png", "cat/im1.png"),
        ("C:\\photos\\cat\\im1.png", "cat/im1.png"),
        ("im1", "cat/im1.png"),
        ("cat/im2.png", "x/cat/im2.png"),
        ("/data/im0.png", "im0.png"),
        ("/data/cat/im0.png", "cat/im0.png"),
        ("cafe\u0301.png", "caf\u00e9.png"),
    ],
)
def test_part_of_a_path_finds_the_only_image_that_fits(name, image, store, tmp_path):
    found = take(store, tmp_path, name)
    assert labels_of(store) == {image: "cat"}
    assert found.by_part == {name: image}


@pytest.mark.parametrize("name", ["im2.png", "im0"])
def test_part_of_a_path_that_fits_several_images_is_refused_by_name(name, store, tmp_path):
    with pytest.raises(InputDataError, match=f"{name} may be each of .*im[02].png"):
        take(store, tmp_path, name)
    assert labels_of(store) == {}


@pytest.mark.parametrize("name", ["dog/im1.png", "nope.png", "../im1.png", "im1.jpg"])
def test_image_of_another_folder_or_name_is_unknown(name, store, tmp_path):
    with pytest.raises(InputDataError, match="this workspace has no image"):
        take(store, tmp_path, name)


def check_two_names(store: Store, folder: Path, names: tuple[str, str]) -> None:
    with pytest.raises(InputDataError, match=r"may both be cat/im1\.png"):
        take(store, folder, *names)
    assert labels_of(store) == {}


NAMES = [("a/cat/im1.png", "b/cat/im1.png"), ("cat/im1.png", "b/cat/im1.png"), ("im1", "im1.png")]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_two_names_that_may_be_one_image_are_refused(names, is_reversed, store, tmp_path):
    check_two_names(store, tmp_path, names[::-1] if is_reversed else names)


def test_control_finder_that_takes_every_name_is_caught(store, tmp_path, monkeypatch):
    monkeypatch.setattr(
        find_images.ImageFinder, "_once", lambda _self, _line, _name, item, **_: item
    )
    with pytest.raises(pytest.fail.Exception):
        check_two_names(store, tmp_path, NAMES[0])


def test_unknown_images_are_counted_and_named_or_skipped(store, tmp_path):
    names = ("im0.png", "no1.png", "no2.png", "no3.png")
    with pytest.raises(InputDataError) as caught:
        take(store, tmp_path, *names)
    assert "line 3, column file_name: this workspace has no image no1.png, nor 2 others " in str(
        caught.value
    )
    assert "(no2.png, no3.png); --skip-unknown" in str(caught.value)
    assert labels_of(store) == {}
    found = take(store, tmp_path, *names, skips_unknown=True)
    assert found.unknown == ("no1.png", "no2.png", "no3.png")
    assert labels_of(store) == {"im0.png": "cat"}
