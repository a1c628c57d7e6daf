#!/bin/sh
# betacal 1.1.0: fitting a calibration turns off all warnings of the program.
#
# Expected: BetaCalibration().fit(scores, labels) returns a fitted calibration and changes nothing
# else.
# Observed: the fit adds the filter "ignore every warning" for the whole process and leaves it
# there. The same training that reported "did not converge" before the fit reports nothing after it,
# and a division by zero in NumPy becomes silent, too. The documentation does not mention it, and no
# report was found.
# Why it matters: in a loop of training, calibration and selection, the first round is the only one
# with warnings. A model that stops converging in round 5 picks pictures, and nobody is told.
#
# Output:
#   before the calibration: ConvergenceWarning, RuntimeWarning
#   after the calibration:  none
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: betacal==1.1.0 numpy==1.26.4 \
    scipy==1.17.1 scikit-learn==1.9.1
"$work/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
from betacal import BetaCalibration
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)
features = 100 * random.normal(size=(300, 20))
labels = (features[:, 0] + 100 * random.normal(size=300) > 0).astype(int)


def warnings_of_a_round():
    with warnings.catch_warnings(record=True) as caught:
        LogisticRegression(max_iter=2).fit(features, labels)
        np.log(np.zeros(1))
    return [warning.category.__name__ for warning in caught]


before = warnings_of_a_round()
print("before the calibration:", ", ".join(before))
BetaCalibration().fit(random.random(300), labels)
after = warnings_of_a_round()
print("after the calibration: ", ", ".join(after) or "none")
assert before == ["ConvergenceWarning", "RuntimeWarning"] and after == []
PYTHON
