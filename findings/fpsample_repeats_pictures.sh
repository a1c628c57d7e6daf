#!/bin/sh
# fpsample 0.3.3 (1.0.2, built from source, does the same): a sample repeats row numbers.
#
# Expected: farthest point sampling of 9 from 12 rows returns 9 different row numbers, if possible.
# Observed: as soon as every row that is left equals a row of the sample, its distance is 0,
# already picked rows tie with unpicked ones, and one row number is returned again and again.
# No function of the package says so; the array has the requested length.
# Why it matters: pools hold copies of pictures. A batch of 9 pictures to label holds 7, and the
# person who labels sees one of them three times. Compare len(set(picks)) with len(picks).
#
# Output:
#   rows 12, different rows 6, requested 9
#   fps_sampling               [0, 3, 5, 2, 1, 4, 11, 11, 11]
#   fps_npdu_kdtree_sampling   [0, 3, 5, 2, 1, 4, 11, 11, 11]
#   bucket_fps_kdtree_sampling [3, 1, 5, 2, 9, 4, 1, 1, 1]
#   bucket_fps_kdline_sampling [4, 3, 5, 2, 11, 1, 4, 4, 4]
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: fpsample==0.3.3 numpy==2.3.5
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import fpsample
import numpy as np

different = np.random.default_rng(0).normal(size=(6, 4))
features = np.concatenate([different, np.repeat(different[:1], 6, axis=0)])
samplers = {
    "fps_sampling": {},
    "fps_npdu_kdtree_sampling": {},
    "bucket_fps_kdtree_sampling": {},
    "bucket_fps_kdline_sampling": {"h": 2},
}
print(f"rows {len(features)}, different rows {len(different)}, requested 9")
for name, options in samplers.items():
    picks = getattr(fpsample, name)(features, 9, start_idx=0, **options).tolist()
    print(f"{name:26}", picks)
    assert len(picks) == 9
    assert len(set(picks)) < 9
PYTHON
