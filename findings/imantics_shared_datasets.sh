#!/bin/sh
# imantics 0.1.12: all Dataset objects of a process share their pictures and labels.
#
# Expected: Dataset.from_coco(a) and Dataset.from_coco(b) give two data sets.
# Observed: both hold the same dictionaries, as these belong to the class and not to the object. A
# picture of the second file replaces the picture of the first file with the same id, and
# keeps the labels of both. Here the first data set loses its picture, its "cat" is now on a
# picture of the second file, and both categories have the id 1.
# Why it matters: train.json and val.json, and the exports of two annotators, usually number their
# pictures from 1. Who opens both to compare or to merge them writes labels to wrong pictures.
#
# Output:
#   first, alone           pictures ['train.png'] labels [('train.png', 'cat')]
#   first, second opened   pictures ['val.png'] labels [('val.png', 'cat'), ('val.png', 'dog')]
#   second                 pictures ['val.png'] labels [('val.png', 'cat'), ('val.png', 'dog')]
#   categories of both     [(1, 'cat'), (1, 'dog')]
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==1.26.4 opencv-python-headless==4.10.0.84 lxml==5.3.0 \
    xmljson==0.2.1
"$work/venv/bin/pip" install --quiet --no-deps imantics==0.1.12
"$work/venv/bin/python" - <<'PYTHON'
import imantics


def coco(picture, category):
    box = [1, 1, 9, 1, 9, 9, 1, 9]
    return {
        "images": [{"id": 1, "file_name": picture, "width": 20, "height": 20}],
        "categories": [{"id": 1, "name": category}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box]}],
    }


def contents(dataset):
    pictures = [image.file_name for image in dataset.iter_images()]
    names = {image.id: image.file_name for image in dataset.iter_images()}
    labels = [(names[a.image.id], a.category.name) for a in dataset.iter_annotations()]
    return pictures, labels


def show(title, dataset):
    pictures, labels = contents(dataset)
    print(f"{title:22} pictures {pictures} labels {labels}")


first = imantics.Dataset.from_coco(coco("train.png", "cat"), "first")
alone = contents(first)
show("first, alone", first)
second = imantics.Dataset.from_coco(coco("val.png", "dog"), "second")
show("first, second opened", first)
show("second", second)
categories = [(entry["id"], entry["name"]) for entry in first.coco()["categories"]]
print("categories of both    ", categories)
assert alone == (["train.png"], [("train.png", "cat")])
mixed = (["val.png"], [("val.png", "cat"), ("val.png", "dog")])
assert contents(first) == contents(second) == mixed
assert categories == [(1, "cat"), (1, "dog")]
PYTHON
