"""Writes labels with the packages of other tools; runs in an environment without dgaal.

``python package_writers.py WRITER FOLDER`` writes the labels of ``FOLDER/labels.in``, which has the
class of each file as JSON, into the folder.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from package_readers import LABEL_STUDIO_CONFIG

os.environ |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def labels_in(folder: Path) -> dict[str, str]:
    return json.loads((folder / "labels.in").read_text())


def datumaro_coco_labels(folder: Path) -> None:
    datumaro_export(folder, "coco_labels")


def datumaro_imagenet(folder: Path) -> None:
    datumaro_export(folder, "imagenet")


def datumaro_export(folder: Path, name: str) -> None:
    import numpy as np
    from datumaro import Dataset, DatasetItem, Image, Label

    labels = labels_in(folder)
    classes = sorted(set(labels.values()))
    items = [
        DatasetItem(
            id=file.removesuffix(".png"),
            media=Image.from_numpy(np.zeros((8, 8, 3), np.uint8), ext=".png"),
            annotations=[Label(classes.index(label))],
        )
        for file, label in labels.items()
    ]
    Dataset.from_iterable(items, categories=classes).export(str(folder), name, save_media=True)


def label_studio_csv(folder: Path) -> None:
    label_studio(folder).convert_to_csv(
        str(folder / "tasks.json"), str(folder), is_dir=False, sep=","
    )


def label_studio_tasks(folder: Path) -> None:
    label_studio(folder).convert_to_json(str(folder / "tasks.json"), str(folder), is_dir=False)


def label_studio(folder: Path) -> Any:
    from label_studio_sdk.converter import Converter

    logging.disable()
    (folder / "config.xml").write_text(LABEL_STUDIO_CONFIG)
    tasks = [_task(number, *pair) for number, pair in enumerate(labels_in(folder).items(), 1)]
    (folder / "tasks.json").write_text(json.dumps(tasks))
    return Converter(str(folder / "config.xml"), project_dir=None)


def _task(number: int, file: str, label: str) -> dict[str, Any]:
    result = {"type": "choices", "from_name": "choice", "to_name": "image"}
    annotation = {
        "id": number,
        "completed_by": {"email": "ann@example.org"},
        "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-01-01T00:00:00Z",
        "lead_time": 3.0,
        "result": [{**result, "value": {"choices": [label]}}],
    }
    return {"id": number, "data": {"image": file}, "annotations": [annotation], "predictions": []}


def datasets_imagefolder(folder: Path) -> None:
    from datasets import Dataset

    labels = labels_in(folder)
    rows = {"file_name": list(labels), "label": list(labels.values())}
    Dataset.from_dict(rows).to_json(str(folder / "metadata.jsonl"))


def datasets_parquet(folder: Path) -> None:
    """Write four images, the last without a label."""
    import numpy as np
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as Pillow

    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    rows = {"image": [Pillow.fromarray(each) for each in pixels], "label": [0, 1, 1, -1]}
    features = Features(image=Image(), label=ClassLabel(names=["cat", "dog"]))
    Dataset.from_dict(rows, features=features).to_parquet(str(folder / "pool.parquet"))


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
