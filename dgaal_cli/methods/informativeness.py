"""How informative an image is, from its class probabilities: margin, confidence, entropy."""

import numpy as np


def boundary_closeness(probabilities: np.ndarray) -> np.ndarray:
    """Return one minus the margin p1 - p2 of ``(N, K)`` probabilities, shape ``(N,)``.

    Written as in ``networks.deploy.closeness``: p2 plus all that is not p1, exact near zero.
    """
    descending = -np.sort(-probabilities, axis=1)
    return descending[:, 1] + descending[:, 1:].sum(1)


def remainder(probabilities: np.ndarray) -> np.ndarray:
    """Return one minus the largest of ``(N, K)`` probabilities, shape ``(N,)``."""
    return np.sort(probabilities, axis=1)[:, :-1].sum(1)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy over the last axis in nats; ``0 log 0`` is 0."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(-1)
