#!/bin/sh
# dagshub-annotation-converter 0.3.0: a COCO file comes back with twice as many objects.
#
# Expected: load_coco_from_file and export_to_coco_file, one after the other, keep the objects. An
# object of a COCO file usually has both a box ("bbox") and an outline ("segmentation").
# Observed: reading splits each object into a box and an outline, and writing makes two annotations
# of them: one with only the box and the old id, one with only the outline and a new id. A picture
# without objects disappears, and the pictures are numbered anew. Ids of objects move: 3 was the
# "dust" and is now the outline of a "cell" on another picture. Nothing is reported.
# Why it matters: the number of objects of each class doubles, so class balance, agreement of
# annotators and recall are wrong, and ids in other files now name other pictures and objects.
#
# Output:
#   before: pictures {7: 'a.png', 8: 'empty.png', 9: 'b.png'}, objects {'cell': 2, 'dust': 1}
#   after:  pictures {1: 'a.png', 2: 'b.png'}, objects {'cell': 4, 'dust': 2}
#   id 1: box of cell
#   id 2: box of cell
#   id 3: outline of cell
#   id 4: outline of cell
#   id 5: box of dust
#   id 6: outline of dust
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dagshub-annotation-converter==0.3.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import json
from collections import Counter
from pathlib import Path

from dagshub_annotation_converter.converters.coco import export_to_coco_file, load_coco_from_file


def an_object(number, picture, category, left):
    right = left + 10
    return {
        "id": number,
        "image_id": picture,
        "category_id": category,
        "iscrowd": 0,
        "area": 100,
        "bbox": [left, 5, 10, 10],
        "segmentation": [[left, 5, right, 5, right, 15, left, 15]],
    }


def summary(coco):
    pictures = {image["id"]: image["file_name"] for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    return pictures, dict(Counter(names[a["category_id"]] for a in coco["annotations"]))


files = {7: "a.png", 8: "empty.png", 9: "b.png"}
before = {
    "images": [{"id": i, "file_name": f, "width": 40, "height": 40} for i, f in files.items()],
    "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "dust"}],
    "annotations": [an_object(1, 7, 1, 5), an_object(2, 7, 1, 20), an_object(3, 9, 2, 8)],
}
Path("before.json").write_text(json.dumps(before))
by_picture, context = load_coco_from_file("before.json")
loaded = [label for labels in by_picture.values() for label in labels]
after = json.loads(export_to_coco_file(loaded, "after.json", context).read_text())
print("before: pictures {}, objects {}".format(*summary(before)))
print("after:  pictures {}, objects {}".format(*summary(after)))
names = {category["id"]: category["name"] for category in after["categories"]}
kinds = {}
for annotation in after["annotations"]:
    assert ("bbox" in annotation) != ("segmentation" in annotation)
    shape = "box" if "bbox" in annotation else "outline"
    kinds[annotation["id"]] = f"{shape} of {names[annotation['category_id']]}"
    print(f"id {annotation['id']}: {kinds[annotation['id']]}")
assert kinds[3] == "outline of cell"
assert summary(after) == ({1: "a.png", 2: "b.png"}, {"cell": 4, "dust": 2})
PYTHON
