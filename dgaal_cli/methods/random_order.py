"""A random order of images by their number alone: no pixels, no networks, no torch."""

from collections.abc import Sequence

import numpy as np

from dgaal_cli.ids import ItemId
from dgaal_cli.training.seeds import numpy_generator


def random_scores(items: Sequence[ItemId], seed: int) -> np.ndarray:
    """Return different scores in [0, 1), evenly spaced, in random order; float32 ``(N,)``."""
    order = numpy_generator(seed, "random").permutation(len(items))
    return (order / max(len(items), 1)).astype(np.float32)
