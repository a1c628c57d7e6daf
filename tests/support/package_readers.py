"""Reads exports with the packages of other tools; runs in an environment without dgaal.

``python package_readers.py READER PATH`` prints the label of each file as JSON, in its last line.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
LABEL_STUDIO_CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<Choices name="choice" toName="image"><Choice value="x"/></Choices></View>'
)


def pycocotools(path: Path) -> dict[str, str]:
    from pycocotools.coco import COCO

    coco = COCO(str(path))
    annotations = coco.loadAnns(coco.getAnnIds())
    return {
        coco.loadImgs(each["image_id"])[0]["file_name"]: coco.loadCats(each["category_id"])[0][
            "name"
        ]
        for each in annotations
    }


def datumaro_imagenet(path: Path) -> dict[str, str]:
    from datumaro import Dataset

    return of_datumaro(Dataset.import_from(str(path), "imagenet"), is_by_file=True)


def datumaro_coco(path: Path) -> dict[str, str]:
    from datumaro import Dataset

    with tempfile.TemporaryDirectory() as folder:
        annotations = Path(folder, "annotations")
        annotations.mkdir()
        Path(folder, "images").mkdir()
        (annotations / "labels_default.json").write_bytes(path.read_bytes())
        return of_datumaro(Dataset.import_from(folder, "coco_labels"))


def of_datumaro(dataset: Any, *, is_by_file: bool = False) -> dict[str, str]:
    from datumaro import AnnotationType

    names = dataset.categories()[AnnotationType.label]
    return {
        Path(item.media.path).name if is_by_file else f"{item.id}.png": names[each.label].name
        for item in dataset
        for each in item.annotations
    }


def datasets_imagefolder(path: Path) -> dict[str, str]:
    from datasets import load_dataset

    return of_datasets(load_dataset("imagefolder", data_dir=str(path)))


def datasets_folder(path: Path) -> dict[str, str]:
    from datasets import load_dataset

    return of_datasets(load_dataset(str(path)))


def of_datasets(splits: Any) -> dict[str, str]:
    """Return the labels by the column ``id``, of the only split."""
    (rows,) = splits.values()
    return {row["id"]: row["label"] for row in rows.remove_columns("image")}


def label_studio(path: Path) -> dict[str, str]:
    from label_studio_sdk.converter import Converter

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.xml")
        config.write_text(LABEL_STUDIO_CONFIG)
        converter = Converter(str(config), project_dir=None)
        converter.convert_to_json_min(str(path), folder, is_dir=False)
        tasks = json.loads(Path(folder, "result.json").read_text())
    return {task["file_name"]: task["choice"] for task in tasks}


def fiftyone(path: Path) -> dict[str, str]:
    from fiftyone.utils.data.importers import FiftyOneImageClassificationDatasetImporter

    with FiftyOneImageClassificationDatasetImporter(dataset_dir=str(path)) as importer:
        return {os.path.relpath(file, path / "data"): found.label for file, _, found in importer}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HF_HOME"] = cache
        found = globals()[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write("\n" + json.dumps(found))
