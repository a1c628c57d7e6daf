#!/bin/sh
# fpsample 0.3.3 (1.0.2, built from source, does the same): start_idx=0 does not start at row 0.
#
# Expected: the README says that start_idx fixes the index of the first sampled point, and shows
# bucket_fps_kdline_sampling(points, 1024, h=3, start_idx=0).
# Observed: fps_sampling begins with that row. The two bucket functions, which the README calls the
# fastest, begin with another row, and the named row is often not in the sample at all.
# Why it matters: the start row is how a user says "this picture is labeled already, stay away from
# it" or repeats an earlier selection. The sample then surrounds a picture that nobody chose.
#
# Output (first row of the sample, and whether the start row is in the sample):
#   start_idx   0: fps_sampling 0 True, kdtree 59 False, kdline 153 False
#   start_idx   7: fps_sampling 7 True, kdtree 44 False, kdline 7 True
#   start_idx 150: fps_sampling 150 True, kdtree 61 True, kdline 101 False
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: fpsample==0.3.3 numpy==2.3.5
"$work/venv/bin/python" - <<'PYTHON'
import fpsample
import numpy as np

features = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
observed = {}
for start in (0, 7, 150):
    samples = {
        "fps_sampling": fpsample.fps_sampling(features, 10, start_idx=start),
        "kdtree": fpsample.bucket_fps_kdtree_sampling(features, 10, start_idx=start),
        "kdline": fpsample.bucket_fps_kdline_sampling(features, 10, h=3, start_idx=start),
    }
    shown = []
    for name, sample in samples.items():
        observed[name, start] = int(sample[0]) == start, start in sample
        shown.append(f"{name} {sample[0]} {start in sample}")
    print(f"start_idx {start:3}: {', '.join(shown)}")
assert all(observed["fps_sampling", start] == (True, True) for start in (0, 7, 150))
assert not any(observed["kdtree", start][0] for start in (0, 7, 150))
assert observed["kdtree", 0] == observed["kdline", 0] == (False, False)
PYTHON
