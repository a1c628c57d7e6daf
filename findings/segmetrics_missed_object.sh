#!/bin/sh
# seg-metrics 1.2.8: a missed object has the surface distances of a perfect segmentation.
#
# Expected: if the prediction of a label is empty and the truth is not, or the other way around, the
# Hausdorff distance has no value. Packages such as pymia return infinity then.
# Observed: write_metrics returns 0 for hd, hd95, msd, mdsd and stdsd, as it does for a perfect
# prediction. A warning says that precision and recall are set to 0; it does not name the distances.
# A prediction that is one pixel off gets a larger distance than none at all. The same choice in
# training code is criticized (Beckschen/TransUNet issue 39); no report was found for this package.
# Why it matters: the mean distance of a data set falls with each object that a model misses. A
# comparison of two models by hd95 prefers the one that leaves the difficult pictures empty.
#
# Output:
#   same      dice 1.00 hd 0.0 hd95 0.0 msd 0.0
#   one off   dice 0.90 hd 1.0 hd95 1.0 msd 0.5
#   empty     dice 0.00 hd 0.0 hd95 0.0 msd 0.0
#   not there dice 0.00 hd 0.0 hd95 0.0 msd 0.0
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet seg-metrics==1.2.8 numpy==1.26.4 SimpleITK==2.5.7
"$work/venv/bin/python" - <<'PYTHON'
import logging

import numpy as np
from seg_metrics.seg_metrics import write_metrics

logging.disable(logging.WARNING)
truth = np.zeros((40, 40), np.uint8)
truth[10:20, 10:20] = 1
nothing = np.zeros_like(truth)
pairs = {
    "same": (truth, truth),
    "one off": (truth, np.roll(truth, 1, axis=0)),
    "empty": (truth, nothing),
    "not there": (nothing, truth),
}
distances = {}
for name, (wanted, predicted) in pairs.items():
    (found,) = write_metrics(
        labels=[1], gdth_img=wanted, pred_img=predicted, metrics=["dice", "hd", "hd95", "msd"]
    )
    dice, *distances[name] = (float(found[metric][0]) for metric in ("dice", "hd", "hd95", "msd"))
    hd, hd95, msd = distances[name]
    print(f"{name:9} dice {dice:.2f} hd {hd:.1f} hd95 {hd95:.1f} msd {msd:.1f}")
assert distances["empty"] == distances["not there"] == distances["same"] == [0, 0, 0]
assert distances["one off"][0] == 1
PYTHON
