"""Read exported labels without dgaal, and compare them with the model."""

import csv
import json
from pathlib import Path

from month.model import State

FORMATS = ("jsonl", "csv", "coco", "labelstudio", "imagefolder", "fiftyone", "hf")
SUFFIXES = {"jsonl": ".jsonl", "csv": ".csv", "coco": ".json", "labelstudio": ".json"}


def problem_of(name: str, path: Path, state: State) -> str:
    """Return how an export differs from the labels; empty if it does not."""
    if name == "jsonl":
        return _problem_of_lines(path, state)
    found = _READERS[name](path)
    expected = state.labels()
    return "" if found == expected else f"{name} has {found}, expected {expected}"


def _problem_of_lines(path: Path, state: State) -> str:
    """Compare the lossless format: every person's answers, flags, and what was taken back."""
    found = [
        (line["file_name"], line["annotator"], line["kind"], line["class_uid"], line["op_id"])
        for line in map(json.loads, path.read_text().splitlines())
    ]
    expected = [
        (event.image, event.person, event.says, event.uid, event.op) for event in state.lines()
    ]
    return "" if found == expected else f"jsonl has {found}, expected {expected}"


def _csv(path: Path) -> dict[str, str]:
    with path.open(newline="") as stream:
        return {row["file_name"]: row["label"] for row in csv.DictReader(stream)}


def _coco(path: Path) -> dict[str, str]:
    document = json.loads(path.read_text())
    images = {image["id"]: image["file_name"] for image in document["images"]}
    names = {category["id"]: category["name"] for category in document["categories"]}
    return {images[a["image_id"]]: names[a["category_id"]] for a in document["annotations"]}


def _label_studio(path: Path) -> dict[str, str]:
    return {
        task["data"]["file_name"]: task["annotations"][0]["result"][0]["value"]["choices"][0]
        for task in json.loads(path.read_text())
    }


def _image_folder(path: Path) -> dict[str, str]:
    return {file.name: file.parent.name for file in path.glob("*/*") if file.is_file()}


def _fifty_one(path: Path) -> dict[str, str]:
    document = json.loads((path / "labels.json").read_text())
    files = {file.stem: file.name for file in (path / "data").iterdir() if file.is_file()}
    return {files[stem]: document["classes"][n] for stem, n in document["labels"].items()}


def _hugging_face(path: Path) -> dict[str, str]:
    lines = map(json.loads, (path / "metadata.jsonl").read_text().splitlines())
    found = {line["file_name"]: line["label"] for line in lines}
    return {name: label for name, label in found.items() if (path / name).is_file()}


_READERS = {
    "csv": _csv,
    "coco": _coco,
    "labelstudio": _label_studio,
    "imagefolder": _image_folder,
    "fiftyone": _fifty_one,
    "hf": _hugging_face,
}
