#!/bin/sh
# puncc 0.9.3: detections are matched with wrong objects if boxes are fractions of the picture.
#
# Expected: hungarian_assignment keeps the pairs of a detection and an object that overlap by more
# than min_iou, 0.5 by default. The unit of the boxes does not matter for an overlap.
# Observed: one is added to each side of a box and of an intersection, as for whole pixels. Boxes
# given as fractions of the picture, the form of YOLO, grow beyond the picture. Boxes that only
# touch at a corner get an overlap of 0.53, and missing detections, which are filled up with zeros,
# are matched: the result has a detection that no detector made. The same boxes in pixels give only
# the right pair. The documentation names no unit, and no report was found.
# Why it matters: the pairs are the data that conformal margins of boxes are calibrated with. Each
# wrong pair widens them, and missed objects are counted as found.
#
# Output:
#   overlap of boxes that touch at a corner: fractions 0.53, pixels 0.00
#   objects 3, detections 2, one of which is right
#   pixels:    pairs 1
#   fractions: pairs 3, one with the detection [0.0, 0.0, 0.0, 0.0]
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: puncc==0.9.3 numpy==1.26.4 pandas==3.0.6 \
    scikit-learn==1.9.1
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from deel.puncc.api.utils import hungarian_assignment
from deel.puncc.metrics import iou

objects = np.array([[0.6, 0.6, 0.8, 0.8], [0.1, 0.1, 0.3, 0.3], [0.05, 0.02, 0.2, 0.15]])
detections = np.array([[0.6, 0.6, 0.8, 0.79], [0.3, 0.3, 0.5, 0.5]])
corner = [
    float(iou(scale * objects[1:2], scale * detections[1:2])[0, 0]) for scale in (1, 1000)
]
print(f"overlap of boxes that touch at a corner: fractions {corner[0]:.2f}, pixels {corner[1]:.2f}")
print(f"objects {len(objects)}, detections {len(detections)}, one of which is right")
pixels, *_ = hungarian_assignment(1000 * detections, 1000 * objects)
fractions, *_ = hungarian_assignment(detections, objects)
(invented,) = [box.tolist() for box in fractions if box.tolist() not in detections.tolist()]
print("pixels:    pairs", len(pixels))
print(f"fractions: pairs {len(fractions)}, one with the detection {invented}")
assert (len(pixels), len(fractions)) == (1, 3) and invented == [0, 0, 0, 0]
PYTHON
