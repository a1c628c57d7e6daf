"""The most probable classes of an image, for the terminal and the record."""

from collections.abc import Sequence

import numpy as np

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord

Guesses = tuple[tuple[ClassUid, float], ...]
"""Classes with their probabilities, the most probable first."""
SHOWN_GUESSES = 5


def top_guesses(classes: Sequence[ClassRecord], probabilities: np.ndarray) -> Guesses:
    """Return the most probable classes of one image from T's probabilities (K,)."""
    order = np.argsort(-probabilities, kind="stable")[:SHOWN_GUESSES]
    return tuple((classes[int(k)].uid, float(probabilities[k])) for k in order)
