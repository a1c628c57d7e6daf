#!/bin/sh
# labelformat 0.1.17 (with pycocotools 2.0.11): objects written as RLE are marked as crowds.
#
# Expected: "labelformat convert --input-format maskpair --segmentation-type rle" writes each
# connected part of a mask as one object. A comment in its code advises RLE for masks with holes.
# Observed: each object is written with "iscrowd": true. In COCO this means "a group of objects
# that are not separated", and evaluation ignores such a region. A detector that finds every object
# perfectly gets the average precision (AP) -1, "nothing to evaluate". With the mark removed it
# gets 1. The conversion prints no warning.
# Why it matters: training code often leaves crowds out too. Who chooses RLE to keep the holes of
# masks has a data set with no object to learn from or to measure on.
#
# Output (the file has no ids and areas of objects, which pycocotools requires, so they are added):
#   as written            iscrowd [True, True] AP -1.0
#   marked as not a crowd iscrowd [False, False] AP 1.0
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet labelformat==0.1.17 pycocotools==2.0.11 numpy==2.4.6 \
    pillow==12.1.0
cd "$work"
cat >make_mask.py <<'PYTHON'
from pathlib import Path

import numpy as np
from PIL import Image

mask = np.zeros((60, 60), np.uint8)
mask[5:25, 5:25] = 255
mask[10:15, 10:15] = 0
mask[35:55, 30:55] = 255
for folder in ("images", "masks"):
    Path(folder).mkdir()
Image.fromarray(mask).save("masks/a.png")
Image.new("RGB", (60, 60)).save("images/a.png")
PYTHON
cat >evaluate.py <<'PYTHON'
import contextlib
import io
import json
from pathlib import Path

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def precision(coco):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        keys = ("image_id", "category_id")
        found = [
            {key: a[key] for key in keys} | {"segmentation": truth.annToRLE(a), "score": 0.9}
            for a in coco["annotations"]
        ]
        evaluation = COCOeval(truth, truth.loadRes(found), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 6)


def read(crowd=None):
    coco = json.loads(Path("coco.json").read_text())
    for number, annotation in enumerate(coco["annotations"], 1):
        rle = coco_mask.frPyObjects(annotation["segmentation"], 60, 60)
        annotation |= {"id": number, "area": float(coco_mask.area(rle))}
        if crowd is not None:
            annotation["iscrowd"] = crowd
    return coco


observed = []
for title, coco in (("as written", read()), ("marked as not a crowd", read(crowd=False))):
    crowds = [annotation["iscrowd"] for annotation in coco["annotations"]]
    observed.append((crowds, precision(coco)))
    print(f"{title:21} iscrowd {crowds} AP {observed[-1][1]}")
assert observed == [([True, True], -1.0), ([False, False], 1.0)]
PYTHON
"$work/venv/bin/python" make_mask.py
"$work/venv/bin/labelformat" convert --task instance-segmentation \
    --input-format maskpair --image-glob 'images/*.png' --mask-glob 'masks/*.png' \
    --base-path . --category-names cell --segmentation-type rle \
    --output-format coco --output-file coco.json >/dev/null
"$work/venv/bin/python" evaluate.py
