#!/bin/sh
# crowd-kit 1.4.2: MMSR turns the vote around where distrusted workers outweigh trusted ones.
#
# Expected: MMSR (Ma and Olshevsky 2020, for crowds with adversarial workers) gives each worker a
# weight that is negative below chance level, and takes the label with the largest sum of weights.
# Observed: the sums of a task are divided by their total before the largest one is taken. If the
# total is negative, the order is turned around, and the label with the smallest sum wins. Three
# workers who are wrong in 9 of 10 answers get a weight near -2, and yet their majority decides all
# 20 tasks that nobody else answered. There is no warning. MajorityVote does the same with negative
# skills. No report was found.
# Why it matters: the method is chosen to be safe from careless or hostile annotators, and the
# labels of exactly their pictures are wrong. Take the sums from skills_ yourself.
#
# Output:
#   weights: a 2.7, b 0.9, c 2.5, d 2.2, e 1.9, x -2.3, y -2.0, z -1.9
#   tasks answered by all:     predict 40 of 40 right, largest sum 40 of 40
#   tasks answered by x, y, z: predict 0 of 20 right, largest sum 20 of 20
#   task 1: sums cat -2.0, dog -4.2; scores_ cat 0.3, dog 0.7; predicted dog, right cat
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: crowd-kit==1.4.2 numpy==1.26.4 \
    pandas==3.0.6 scipy==1.17.1 scikit-learn==1.9.1
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import pandas as pd
from crowdkit.aggregation import MMSR

random = np.random.default_rng(0)
truth = pd.Series(np.where(random.integers(0, 2, 60) == 1, "cat", "dog"))
other = {"cat": "dog", "dog": "cat"}
share_right = dict.fromkeys("abcde", 0.9) | dict.fromkeys("xyz", 0.1)
rows = [
    (task, worker, label if random.random() < share else other[label])
    for worker, share in share_right.items()
    for task, label in truth.items()
    if task >= 20 or worker in "xyz"
]
votes = pd.DataFrame(rows, columns=["task", "worker", "label"])
model = MMSR().fit(votes)
print("weights:", ", ".join(f"{worker} {weight:.1f}" for worker, weight in model.skills_.items()))
predicted = model.predict(votes)
weighted = votes.assign(weight=votes.worker.map(model.skills_))
sums = weighted.groupby(["task", "label"]).weight.sum().unstack(fill_value=0)
largest = sums.idxmax(axis=1)
right = {}
for title, tasks in (("all:", range(20, 60)), ("x, y, z:", range(20))):
    right[title] = [int((found == truth)[tasks].sum()) for found in (predicted, largest)]
    by_predict, by_sum = right[title]
    print(
        f"tasks answered by {title:8} predict {by_predict} of {len(tasks)} right, "
        f"largest sum {by_sum} of {len(tasks)}"
    )
cells = [
    ", ".join(f"{label} {value:.1f}" for label, value in row.items())
    for row in (sums.loc[1], model.scores_.loc[1])
]
print(f"task 1: sums {cells[0]}; scores_ {cells[1]}; predicted {predicted[1]}, right {truth[1]}")
assert list(right.values()) == [[40, 40], [0, 20]]
PYTHON
