#!/bin/sh
# modAL-python 0.4.2.1 (with scikit-learn 1.5.2): random_tie_break=True turns the query around.
#
# Expected: SVM_binary_minimum asks for the picture nearest to a decision boundary. With
# random_tie_break=True the documentation promises the same, with ties broken at random.
# Observed: without the option the smallest distance wins, with it the largest: the picture
# that the model is most sure of. It happens in every call, also when no two distances are equal.
# Why it matters: a user who turns the option on, to be fair to equal pictures, labels the most
# certain pictures first, and no message says so.
#
# Output:
#   distance to the nearest boundary [0.05, 3.0, 5.0, 0.9]
#   picked with random_tie_break=False: 0
#   picked with random_tie_break=True, 20 calls: {2}
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet modAL-python==0.4.2.1 scikit-learn==1.5.2 numpy==1.26.4 \
    scipy==1.13.1 pandas==2.2.3
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from modAL.models import ActiveLearner
from modAL.multilabel import SVM_binary_minimum
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

labeled = np.array([[-2.0], [-1.0], [1.0], [2.0]])
labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
learner = ActiveLearner(
    OneVsRestClassifier(SVC(kernel="linear")), X_training=labeled, y_training=labels
)
pool = np.array([[0.05], [-3.0], [5.0], [0.9]])
models = learner.estimator.estimators_
distances = np.min([np.abs(model.decision_function(pool)) for model in models], axis=0)
plain = int(SVM_binary_minimum(learner, pool))
tied = {int(SVM_binary_minimum(learner, pool, random_tie_break=True)[0][0]) for _ in range(20)}
print("distance to the nearest boundary", [round(float(d), 3) for d in distances])
print("picked with random_tie_break=False:", plain)
print("picked with random_tie_break=True, 20 calls:", tied)
assert plain == int(distances.argmin()) == 0
assert tied == {int(distances.argmax())} == {2}
PYTHON
