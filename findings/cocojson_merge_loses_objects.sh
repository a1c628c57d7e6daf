#!/bin/sh
# cocojson 0.1.1: merging chosen categories of COCO files writes pictures without their objects.
#
# Expected: "cocojson.run.merge -j a.json -r a -c 1 -j b.json -r b -c 1 -o out" merges the objects
# of category 1 of both files; its documentation shows such a command.
# Observed: for each object the program asks whether the last category of the file is chosen, not
# whether the category of the object is. As "dust" is listed last and not chosen, all objects of the
# file are left out. All pictures and the category "cell" are written, and nothing is reported.
# Without -c all objects are there. The wrong comparison is known: a repair has been offered since
# 2024 (levan92/cocojson pull request 4), but it does not say that objects are lost.
# Why it matters: the merged file is valid and says that there is no cell on any picture. A detector
# learns that the cells are background.
#
# Output:
#   all categories: objects {'cell': 4, 'dust': 2} on 4 pictures
#   -c 1:           objects {'cell': 0} on 4 pictures
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: --no-deps cocojson==0.1.1 numpy==1.26.4 \
    opencv-python-headless==4.11.0.86 tqdm==4.70.1 pillow==13.0.0
cd "$work"
cat >make.py <<'PYTHON'
import json
from pathlib import Path

from PIL import Image

categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "dust"}]
for name in "ab":
    Path(name).mkdir()
    images = []
    for number in (1, 2):
        file_name = f"{name}{number}.png"
        Image.new("L", (40, 40)).save(Path(name, file_name))
        images.append({"id": number, "file_name": file_name, "width": 40, "height": 40})
    places = [(1, 1), (1, 2), (2, 1)]
    annotations = [
        {"id": number, "image_id": image, "category_id": category, "bbox": [2, 2, 9, 9], "area": 81}
        for number, (image, category) in enumerate(places, 1)
    ]
    coco = {
        "info": {"description": name},
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    Path(f"{name}.json").write_text(json.dumps(coco))
PYTHON
cat >count.py <<'PYTHON'
import json
from pathlib import Path


def count(path):
    coco = json.loads(Path(path).read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    objects = [names[annotation["category_id"]] for annotation in coco["annotations"]]
    return {name: objects.count(name) for name in names.values()}, len(coco["images"])


found = [count("all/merged.json"), count("chosen/merged.json")]
for title, (objects, pictures) in zip(("all categories:", "-c 1:"), found, strict=True):
    print(f"{title:15} objects {objects} on {pictures} pictures")
assert found == [({"cell": 4, "dust": 2}, 4), ({"cell": 0}, 4)]
PYTHON
"$work/venv/bin/python" make.py
run() {
    "$work/venv/bin/python" -m cocojson.run.merge "$@" >/dev/null
}
run -j a.json -r a -j b.json -r b -o all
run -j a.json -r a -c 1 -j b.json -r b -c 1 -o chosen
"$work/venv/bin/python" count.py
