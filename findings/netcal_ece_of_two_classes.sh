#!/bin/sh
# netcal 1.4.0: ECE measures another thing for two classes than for three.
#
# Expected: the expected calibration error compares the confidence in the predicted class with its
# accuracy (Guo et al. 2017), whatever the number of classes.
# Observed: if only two classes occur among the labels, ECE compares the probability of class 1 with the
# share of class 1. One more picture, of a third class and predicted without an error, changes the
# result by a quarter; then it equals the definition. With three columns and labels of two classes it
# raises RuntimeError ("Asserted binary classification problem ...").
# Why it matters: a project begins with two classes and adds a third. The reported error changes
# although the model does not, and figures of two-class and other projects cannot be compared.
#
# Output:
#   two classes:      by definition 0.0114, ECE 0.0146
#   one more picture: by definition 0.0114, ECE 0.0114
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet netcal==1.4.0 numpy==2.3.5
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from netcal.metrics import ECE

generator = np.random.default_rng(0)
logits = generator.normal(size=(2000, 3)) * 2
shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
drawn = np.array([generator.choice(3, p=row) for row in shares])
labels = (drawn == 0).astype(int)
two = np.stack([1 - shares[:, 0], shares[:, 0]], axis=1)
three = np.vstack([np.hstack([two, np.zeros((2000, 1))]), [0.0, 0.0, 1.0]])


def by_definition(probabilities, truth):
    confidence, error = probabilities.max(1), 0.0
    right = probabilities.argmax(1) == truth
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


cases = {"two classes:": (two, labels), "one more picture:": (three, np.append(labels, 2))}
differences = []
for name, (probabilities, truth) in cases.items():
    expected, measured = by_definition(probabilities, truth), ECE(10).measure(probabilities, truth)
    print(f"{name:17} by definition {expected:.4f}, ECE {measured:.4f}")
    differences.append(abs(expected - measured))
assert differences[0] > 0.003
assert differences[1] < 1e-9
PYTHON
