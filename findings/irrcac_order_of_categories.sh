#!/bin/sh
# irrCAC 0.4.4: weighted agreement depends on the order in which the categories are listed.
#
# Expected: CAC(ratings, weights="linear", categories=[...]) takes "the list of all possible
# ratings". The grades are numbers, and their distances follow from the numbers, not from their
# places in the list.
# Observed: the weights are made for the sorted grades, but the votes are counted in the order of
# the list. pandas lists the grades as they are met, here 3, 4, 1, 2: grades 4 and 1 then count as
# neighbors, since they have the places 2 and 3. All five weighted coefficients change, without a
# warning. Without weights nothing changes. No report was found.
# Why it matters: the parameter is there for grades that nobody has given yet. The same votes count
# as "substantial" or as "fair" agreement, which decides whether a guideline is rewritten.
#
# Output:
#   categories    gwet  fleiss  krippendorff  conger  bp
#   not given     0.69  0.66    0.67          0.66    0.68
#   [1, 2, 3, 4]  0.69  0.66    0.67          0.66    0.68
#   [3, 4, 1, 2]  0.58  0.59    0.60          0.59    0.57
#   [3, 1, 2, 4]  0.42  0.37    0.39          0.38    0.41
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: irrCAC==0.4.4 numpy==1.26.4 pandas==2.3.3 \
    scipy==1.12.0
"$work/venv/bin/python" - <<'PYTHON'
import pandas as pd
from irrCAC.raw import CAC

votes = pd.DataFrame(
    {
        "first": [3, 1, 2, 3, 1, 2, 3, 1, 2, 4],
        "second": [3, 1, 2, 3, 2, 2, 4, 1, 3, 4],
        "third": [4, 1, 2, 3, 1, 1, 3, 2, 2, 4],
    }
)
as_met = votes.stack().unique().tolist()
names = ("gwet", "fleiss", "krippendorff", "conger", "bp")


def coefficients(categories):
    agreement = CAC(votes, weights="linear", categories=categories)
    return [float(getattr(agreement, name)()["est"]["coefficient_value"]) for name in names]


print("categories   ", "  ".join(names))
found = []
for categories in (None, [1, 2, 3, 4], as_met, [3, 1, 2, 4]):
    found.append(coefficients(categories))
    cells = [f"{value:.2f}".ljust(len(name)) for name, value in zip(names, found[-1], strict=True)]
    print(str(categories or "not given").ljust(13), "  ".join(cells).rstrip())
assert as_met == [3, 4, 1, 2] and found[0] == found[1]
assert all(other < right - 0.03 for right, other in zip(found[0], found[2], strict=True))
PYTHON
