#!/bin/sh
# kmedoids 0.5.5: with the start "build", 3 medoids come back where 6 were requested.
#
# Expected: the second argument is the number of medoids; 15 rows have room for 6.
# Observed: as soon as the rows that are left equal a medoid, "build" stops without a word. pam(), whose
# default it is, and fasterpam(init="build") return 3 medoids; fasterpam() with its default start
# returns 6, of which some are copies of each other.
# Why it matters: medoids are a common way to choose a batch to label. In a pool with copies the batch
# is smaller than the person asked for, and code that reads medoids[i] for i < 6 fails.
#
# Output:
#   rows 15, different rows 3, requested 6
#   pam                     3 medoids [0, 5, 10]
#   fasterpam, init="build" 3 medoids [0, 5, 10]
#   fasterpam               6 medoids
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: kmedoids==0.5.5 numpy==2.3.5
"$work/venv/bin/python" - <<'PYTHON'
import kmedoids
import numpy as np

different = np.random.default_rng(0).normal(size=(3, 2))
pool = np.repeat(different, 5, axis=0)
distance = np.sqrt(((pool[:, None] - pool[None]) ** 2).sum(-1))
print(f"rows {len(pool)}, different rows {len(different)}, requested 6")
found = {
    "pam": kmedoids.pam(distance, 6),
    'fasterpam, init="build"': kmedoids.fasterpam(distance, 6, init="build"),
    "fasterpam": kmedoids.fasterpam(distance, 6, random_state=0),
}
for name, result in found.items():
    rows = sorted(int(row) for row in result.medoids)
    print(f"{name:23} {len(rows)} medoids", rows if len(rows) == 3 else "")
assert [len(result.medoids) for result in found.values()] == [3, 3, 6]
PYTHON
