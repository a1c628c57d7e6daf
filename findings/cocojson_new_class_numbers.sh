#!/bin/sh
# cocojson 0.1.1: map_cat does not use the category ids of the new category file.
#
# Expected: "cocojson.run.map_cat old.json new_categories.json mapping.json" moves the objects to
# the categories of new_categories.json. Here these are 1 "human" and 2 "dog".
# Observed: only the names are taken. The ids are counted from 1 in the order in which the
# categories of the old file lead to a new one, and categories without an old one are left out. Two
# files that are mapped with the same two arguments come out with exchanged ids, and nothing is
# reported. The documentation says that the new categories are defined in that file. No report was
# found.
# Why it matters: one category file for training and validation is there to make the numbers equal.
# Programs that read the numbers of one file only, or join both, take dogs for humans.
#
# Output:
#   new_categories.json {1: 'human', 2: 'dog', 3: 'cat'}
#   train {1: 'human', 2: 'dog'} the human has category_id 1
#   valid {1: 'dog', 2: 'human'} the human has category_id 2
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


def categories(*names):
    return [{"id": number, "name": name} for number, name in enumerate(names, 1)]


def coco(names, human):
    image = {"id": 1, "file_name": "1.png", "width": 40, "height": 40}
    box = {"id": 1, "image_id": 1, "category_id": human, "bbox": [2, 2, 9, 9], "area": 81}
    return {"images": [image], "categories": names, "annotations": [box]}


files = {
    "new_categories": {"categories": categories("human", "dog", "cat")},
    "mapping": {"child": "human", "adult": "human", "bulldog": "dog", "pug": "dog"},
    "train": coco(categories("child", "bulldog"), human=1),
    "valid": coco(categories("pug", "adult"), human=2),
}
for name, content in files.items():
    Path(f"{name}.json").write_text(json.dumps(content))
PYTHON
cat >show.py <<'PYTHON'
import json
from pathlib import Path


def read(name):
    coco = json.loads(Path(f"{name}.json").read_text())
    return coco, {category["id"]: category["name"] for category in coco["categories"]}


print("new_categories.json", read("new_categories")[1])
found = {}
for name in ("train", "valid"):
    coco, names = read(f"{name}_mapped")
    found[name] = names, coco["annotations"][0]["category_id"]
    print(name, names, "the human has category_id", found[name][1])
assert found == {
    "train": ({1: "human", 2: "dog"}, 1),
    "valid": ({1: "dog", 2: "human"}, 2),
}
PYTHON
"$work/venv/bin/python" make.py
for name in train valid; do
    "$work/venv/bin/python" -m cocojson.run.map_cat "$name.json" new_categories.json mapping.json \
        --out "${name}_mapped.json" >/dev/null
done
"$work/venv/bin/python" show.py
