#!/bin/sh
# labelformat 0.1.17 (with pycocotools 2.0.11, Pillow 12.1.0): polygons of masks decode to nothing.
#
# Expected: "labelformat convert --input-format maskpair --output-format coco" turns each connected
# part of a mask into a polygon (the default segmentation type) that covers about the same pixels.
# Observed: the outline is followed twice around, so each point is in the polygon two times.
# Decoders with the even-odd rule, as pycocotools and Pillow, find every pixel inside twice, thus
# outside: the mask is empty. The area by the shoelace formula is twice the area inside the outline.
# Boxes are right, and nothing is reported.
# Why it matters: all labels of a segmentation data set are lost on the way into COCO, while the
# number of objects, their classes and their boxes look right.
#
# Output:
#   square: pixels 400, points 152, different points 76, pycocotools 0, Pillow 0, shoelace 722
#   disk: pixels 621, points 152, different points 76, pycocotools 0, Pillow 0, shoelace 1164
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet labelformat==0.1.17 pycocotools==2.0.11 numpy==2.4.6 \
    pillow==12.1.0
cd "$work"
cat >make_masks.py <<'PYTHON'
from pathlib import Path

import numpy as np
from PIL import Image

y, x = np.mgrid[:60, :60]
masks = {
    "square": (x >= 5) & (x < 25) & (y >= 5) & (y < 25),
    "disk": (x - 30) ** 2 + (y - 30) ** 2 < 200,
}
for folder in ("images", "masks"):
    Path(folder).mkdir()
for name, mask in masks.items():
    Image.fromarray((255 * mask).astype(np.uint8)).save(f"masks/{name}.png")
    Image.new("RGB", (60, 60)).save(f"images/{name}.png")
PYTHON
cat >compare.py <<'PYTHON'
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

coco = json.loads(Path("coco.json").read_text())
names = {image["id"]: Path(image["file_name"]).stem for image in coco["images"]}
objects = sorted(coco["annotations"], key=lambda a: names[a["image_id"]], reverse=True)
assert len(objects) == 2
for annotation in objects:
    name = names[annotation["image_id"]]
    (flat,) = annotation["segmentation"]
    points = np.array(flat).reshape(-1, 2)
    different = len(np.unique(points, axis=0))
    original = int((np.asarray(Image.open(f"masks/{name}.png")) > 0).sum())
    by_coco = int(coco_mask.decode(coco_mask.frPyObjects([flat], 60, 60)).sum())
    canvas = Image.new("1", (60, 60))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in points], fill=1, outline=0)
    by_pillow = int(np.asarray(canvas).sum())
    following = np.roll(points, -1, axis=0)
    area = abs((points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum()) / 2
    print(
        f"{name}: pixels {original}, points {len(points)}, different points {different},"
        f" pycocotools {by_coco}, Pillow {by_pillow}, shoelace {area:.0f}"
    )
    assert original > 0 and len(points) == 2 * different
    assert by_coco == by_pillow == 0
PYTHON
"$work/venv/bin/python" make_masks.py
"$work/venv/bin/labelformat" convert --task instance-segmentation \
    --input-format maskpair --image-glob 'images/*.png' --mask-glob 'masks/*.png' \
    --base-path . --category-names cell --output-format coco --output-file coco.json >/dev/null
"$work/venv/bin/python" compare.py
