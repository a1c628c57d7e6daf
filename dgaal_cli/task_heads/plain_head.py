"""The linear head that methods are compared with: logistic regression with a fixed penalty."""

from dgaal_cli.features.kernel import Floats
from dgaal_cli.task_heads.logistic import LinearHead, fit_logistic

PENALTY = 10.0
"""Inverse strength of the penalty on the weights for features of unit length on average."""


def fit_plain_head(rows: Floats, targets: Floats) -> LinearHead:
    """Fit the head to standardized features (n, D) and the weights of their classes (n, C)."""
    return fit_logistic(rows, targets, PENALTY / rows.shape[1])
