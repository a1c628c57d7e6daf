"""One rule says which folders are classes and splits, for every kind of container."""

import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from dgaal_cli.data.sources import naming, open_source

TREES = {
    ("bus/1.png", "train/2.png", "plane/3.png"): ["bus:", "plane:", "train:"],
    ("train/cat/1.png", "test/dog/2.png"): ["dog:test", "cat:train"],
    ("training/cat/1.png", "testing/dog/2.png"): ["dog:testing", "cat:training"],
    ("images/train/cat/1.png", "images/val/dog/2.png"): ["cat:train", "dog:val"],
    ("a/b/cat/1.png", "a/b/dog/x/2.png"): ["cat:", "dog:"],
    ("cat/1.png", "cat/2.png"): ["cat:", "cat:"],
    ("train/1.png", "test/2.png"): ["None:test", "None:train"],
    ("train/1.png", "test/2.png", "3.png"): ["None:", "None:test", "None:train"],
    ("data/cat/1.png", "data/dog/2.png", "data/notes.txt"): ["cat:", "dog:"],
    ("images/cat/1.png", "labels/1.txt"): ["cat:"],
    ("1.png", "2.png"): ["None:", "None:"],
    ("train/cat/1.png", "cat/2.png"): ["cat:", "train:"],
}


def containers(root: Path, names: tuple[str, ...]) -> list[Path]:
    """Write the same empty files as a folder, a zip and a tar archive."""
    for name in names:
        path = root / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    with zipfile.ZipFile(root / "x.zip", "w") as archive:
        for name in names:
            archive.write(root / "tree" / name, name)
    with tarfile.open(root / "x.tar", "w") as tar:
        tar.add(root / "tree", ".")
    return [root / "tree", root / "x.zip", root / "x.tar"]


def meanings(path: Path) -> list[tuple[str, str]]:
    entries = open_source(str(path), base=path.parent).entries()
    return sorted((entry.id, f"{entry.label}:{entry.split}") for entry in entries)


@pytest.mark.parametrize("names", TREES)
def test_folders_are_classes_or_splits_by_one_rule(names, tmp_path):
    for path in containers(tmp_path, names):
        assert [meaning for _, meaning in meanings(path)] == TREES[names], path.name


def check_random_trees(root: Path) -> None:
    draw = random.Random(0)
    for number in range(25):
        parts = ("train", "test", "cat", "a", "b", "Val")
        names = {
            "/".join(draw.choices(parts[draw.randrange(6) :], k=draw.randrange(4))) + f"/{n}.png"
            for n in range(draw.randrange(1, 6))
        }
        folder = root / str(number)
        folder.mkdir()
        given = tuple(name.lstrip("/") for name in sorted(names))
        first, *others = (meanings(path) for path in containers(folder, given))
        assert all(other == first for other in others), given


def test_folder_zip_and_tar_give_the_same_labels(tmp_path):
    check_random_trees(tmp_path)


def test_control_archives_with_another_rule_are_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(naming, "find_layout", lambda _folders: naming.Layout())
    with pytest.raises(AssertionError):
        check_random_trees(tmp_path)


def test_label_of_one_image_is_the_same_as_in_the_list(tmp_path):
    path, *_ = containers(tmp_path, ("images/train/cat/1.png", "images/val/dog/2.png"))
    listed = list(open_source(str(path), base=tmp_path).entries())
    for entry in listed:
        assert open_source(str(path), base=tmp_path).get(entry.id) == entry
