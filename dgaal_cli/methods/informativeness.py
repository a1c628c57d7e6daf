"""How informative an image is, from its probabilities: margin, confidence, entropy.

Probabilities are ``(N, K)``, or ``(N, P, K)`` for P places in an image; places are averaged.
"""

import numpy as np


def boundary_closeness(probabilities: np.ndarray) -> np.ndarray:
    """Return one minus the margin p1 - p2, shape ``(N,)``.

    Computed as in ``networks.deploy.closeness``: p2 plus the sum of all but p1, exact near zero.
    """
    descending = -np.sort(-probabilities, axis=-1)
    return _mean_over_places(descending[..., 1] + descending[..., 1:].sum(-1))


def remainder(probabilities: np.ndarray) -> np.ndarray:
    """Return one minus the maximum probability, shape ``(N,)``."""
    return _mean_over_places(np.sort(probabilities, axis=-1)[..., :-1].sum(-1))


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy in nats, shape ``(N,)``; ``0 log 0`` is 0."""
    each = -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(-1)
    return _mean_over_places(each)


def _mean_over_places(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 1 else values.mean(axis=1)
