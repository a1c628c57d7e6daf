#!/bin/sh
# apricot-select 0.6.0: the greedy pick of facility location takes an exact copy before a new picture.
#
# Expected: each pick is the row with the largest gain; a copy of a picked row has the gain 0, so it
# is picked only when every other gain is 0, too. The optimizer "lazy" is described as a faster way to
# the same picks as "naive".
# Observed: in a pool of three pictures with four copies each, "lazy" picks a second copy (gain 0)
# before the third picture (gain 16). "naive" picks the three pictures first. No warning is given.
# Why it matters: pools hold copies of pictures. A person is asked the same picture twice, and the
# third one is missing from the batch. Compare the picks with those of optimizer="naive".
#
# Output:
#   naive rows [8, 0, 4, 1] pictures [2, 0, 1, 0] gains [26.86, 18.16, 15.86, 0.0]
#   lazy  rows [8, 10, 0, 4] pictures [2, 2, 0, 1] gains [26.86, 0.0, 18.16, 15.86]
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: apricot-select==0.6.0 numpy==2.3.5 scikit-learn==1.9.1
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from apricot import FacilityLocationSelection

pictures = np.random.default_rng(1).normal(size=(3, 5))
pool = np.repeat(pictures, 4, axis=0)
distance = ((pool[:, None] - pool[None]) ** 2).sum(-1)
similarity = distance.max() - distance
picked = {}
for optimizer in ("naive", "lazy"):
    chosen = FacilityLocationSelection(4, metric="precomputed", optimizer=optimizer)
    chosen.fit(similarity)
    rows = [int(row) for row in chosen.ranking]
    picked[optimizer] = [row // 4 for row in rows]
    gains = [round(float(gain), 2) + 0.0 for gain in chosen.gains]
    print(f"{optimizer:5} rows {rows} pictures {picked[optimizer]} gains {gains}")
assert sorted(picked["naive"][:3]) == [0, 1, 2]
assert picked["lazy"][0] == picked["lazy"][1]
PYTHON
