#!/bin/sh
# globox 2.9.0 and pycocotools 2.0.11: an exported data set is not a perfect match for itself.
#
# Expected: boxes that are compared with themselves have an average precision (AP) of 1.
# Observed: globox numbers the annotations of a COCO file from 0. COCOeval of pycocotools stores
# "the id of the matched box" and reads 0 as "no match". The first box of the file always counts as
# missed, and its correct detection as a false alarm. Both libraries accept the file silently;
# globox's own COCO evaluation of the same boxes gives 1.
# Why it matters: the error shrinks as a data set grows, so a learning curve that starts with a
# few labeled pictures rises although the model has not become better.
#
# Output:
#   pictures 2: AP of globox 1.000, of pycocotools 0.252, numbered from 1: 1.000
#   pictures 4: AP of globox 1.000, of pycocotools 0.564, numbered from 1: 1.000
#   pictures 50: AP of globox 1.000, of pycocotools 0.961, numbered from 1: 1.000
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet globox==2.9.0 pycocotools==2.0.11 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import json

from globox import Annotation, AnnotationSet, BoundingBox, COCOEvaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def boxes(pictures, confidence=None):
    return AnnotationSet(
        Annotation(
            f"{number:03}.png",
            (100, 100),
            [BoundingBox.create(label="cat", coords=(10, 10, 60, 60), confidence=confidence)],
        )
        for number in range(pictures)
    )


def pycocotools_ap(coco):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        keys = ("image_id", "category_id", "bbox")
        found = [{key: a[key] for key in keys} | {"score": 0.9} for a in coco["annotations"]]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


for pictures in (2, 4, 50):
    truth = boxes(pictures)
    own = COCOEvaluator(ground_truths=truth, predictions=boxes(pictures, 0.9)).ap()
    coco = json.loads(json.dumps(truth.to_coco(auto_ids=True)))
    exported = pycocotools_ap(coco)
    for annotation in coco["annotations"]:
        annotation["id"] += 1
    from_one = pycocotools_ap(coco)
    print(
        f"pictures {pictures}: AP of globox {own:.3f}, of pycocotools {exported:.3f},"
        f" numbered from 1: {from_one:.3f}"
    )
    assert abs(own - 1) < 1e-6 and abs(from_one - 1) < 1e-6 and exported < 0.99
PYTHON
