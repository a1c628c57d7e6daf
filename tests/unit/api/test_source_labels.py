"""``init`` takes over the labels of the pool with their meaning, or names what it leaves out."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.api.init import InitRequest, InitResult, init
from dgaal_cli.cli import app
from dgaal_cli.errors import InputDataError
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.classification.label import class_of


def draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8)).astype("uint8")
    Image.fromarray(pixels).save(path, format="png")


def make(root: Path, pool: Path, **changes: Any) -> tuple[InitResult, dict[str, str]]:
    request = InitRequest(
        root=root,
        pool=str(pool),
        base=root.parent,
        preset="tiny",
        method="random",
        imports_labels=True,
        **changes,
    )
    result = init(request)
    with open_store(result.workspace, read_only=True) as store:
        names = store.class_names()
        found = {label.sample_id: names[class_of(label.label)] for label in store.labels()}
    return result, found


def test_equal_files_with_different_labels_have_no_label_and_are_named(tmp_path):
    for name, number in (("cat/a.png", 1), ("dog/b.png", 1), ("dog/c.png", 2), ("dog/d.png", 2)):
        draw(tmp_path / "pool" / name, number)
    result, labels = make(tmp_path / "w", tmp_path / "pool")
    assert labels == {"dog/c.png": "dog"}
    assert result.conflicting == ((("cat/a.png", "cat"), ("dog/b.png", "dog")),)
    assert result.classes == ["cat", "dog"]


@pytest.mark.parametrize("name", [unicodedata.normalize("NFD", "caf\u00e9"), " caf\u00e9 "])
def test_class_names_of_the_source_are_cleaned_in_one_place(name, tmp_path):
    draw(tmp_path / "pool" / name / "a.png", 1)
    draw(tmp_path / "pool" / "dog" / "b.png", 2)
    result, labels = make(tmp_path / "w", tmp_path / "pool", classes=["dog", name])
    assert sorted(labels.values()) == ["caf\u00e9", "dog"]
    assert result.classes == ["dog", "caf\u00e9"]


def test_cells_of_a_manifest_are_cleaned_too(tmp_path):
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "b.png", 2)
    (tmp_path / "m.csv").write_text("file_name,label\na.png, cat\nb.png,  \n")
    _, labels = make(tmp_path / "w", tmp_path / "m.csv")
    assert labels == {"a.png": "cat"}


def test_label_that_cannot_be_a_class_name_is_refused_with_its_image(tmp_path):
    draw(tmp_path / "pool" / "a\x07b" / "a.png", 1)
    with pytest.raises(InputDataError, match=r"the label of a.*a\.png cannot be used"):
        make(tmp_path / "w", tmp_path / "pool")


def test_number_minus_one_is_no_label_in_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype("uint8")
    np.savez(tmp_path / "x.npz", x=pixels, y=np.array([0, -1, 1]))
    result, labels = make(tmp_path / "w", tmp_path / "x.npz")
    assert (sorted(labels.values()), result.classes) == (["0", "1"], ["0", "1"])


def test_number_minus_one_is_no_label_in_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for number in range(3):
        draw(tmp_path / f"{number}.png", number)
    data = [(tmp_path / f"{number}.png").read_bytes() for number in range(3)]
    for labels in ([0, -1, 1], [0.0, float("nan"), 1.0]):
        table = arrow.table({"image": data, "label": labels})
        parquet.write_table(table, tmp_path / "x.parquet")
        root = tmp_path / f"w{type(labels[0]).__name__}"
        result, found = make(root, tmp_path / "x.parquet")
        assert (sorted(found.values()), result.classes) == (["0", "1"], ["0", "1"])


def test_folder_that_the_user_named_as_a_class_is_one(tmp_path):
    for number, name in enumerate(("train/a.png", "test/b.png")):
        draw(tmp_path / "pool" / name, number)
    result, labels = make(tmp_path / "w", tmp_path / "pool", classes=["train", "test"])
    assert labels == {"train/a.png": "train", "test/b.png": "test"}
    assert result.splits == ()
    with pytest.raises(InputDataError, match="has no labels"):
        make(tmp_path / "other", tmp_path / "pool")


@pytest.mark.parametrize(
    ("folders", "is_noted"),
    [(("train", "test"), True), (("cat", "dog"), False), (("train",), False)],
)
def test_init_says_that_splits_of_a_pool_are_asked_alike(folders, is_noted, tmp_path):
    for number, name in enumerate(folders):
        draw(tmp_path / "pool" / name / "a.png", number)
    arguments = ["init", str(tmp_path / "w"), "--pool", str(tmp_path / "pool"), "--classes", "a,b"]
    done = CliRunner().invoke(app, [*arguments, "--preset", "tiny", "--method", "random"])
    assert done.exit_code == 0, done.stderr
    note = "the pool has splits (test, train), whose images are asked and learned alike"
    assert (note in done.stderr) == is_noted


@pytest.mark.parametrize(
    ("folder", "is_noted"), [("@eaDir/a.png", True), ("#recycle", True), ("eaDir", False)]
)
def test_init_names_images_that_a_file_server_made(folder, is_noted, tmp_path):
    draw(tmp_path / "pool" / "a.png", 1)
    draw(tmp_path / "pool" / folder / "thumb.png", 2)
    arguments = ["init", str(tmp_path / "w"), "--pool", str(tmp_path / "pool"), "--classes", "a,b"]
    done = CliRunner().invoke(app, [*arguments, "--preset", "tiny", "--method", "random"])
    assert done.exit_code == 0, done.stderr
    assert (f"1 images, such as {folder}/thumb.png, are in folders" in done.stderr) == is_noted
