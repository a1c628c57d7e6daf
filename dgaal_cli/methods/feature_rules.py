"""Rules that choose images by rows of features, without torch and without a training."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dgaal_cli.features.herding import Picks, kernel_herding, max_herding, uncertainty_herding
from dgaal_cli.features.kernel import FeatureRows, Floats, Ids


class Pick(Protocol):
    """See ``features.herding.max_herding``."""

    def __call__(self, rows: FeatureRows, ids: Ids, labeled: Ids, count: int, /) -> Picks:
        """Pick ``count`` of the rows (N, D) that are not at the positions ``labeled``."""
        ...


class PickDoubtful(Protocol):
    """See ``features.herding.uncertainty_herding``."""

    def __call__(
        self, rows: FeatureRows, ids: Ids, labeled: Ids, count: int, weights: Floats, /
    ) -> Picks:
        """Pick ``count`` of the rows (N, D), given the doubt (N,) of a task model."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureRule:
    """How a method picks rows of features."""

    pick: Pick
    reason: str
    """Why each pick was chosen, in a few words."""
    pick_doubtful: PickDoubtful | None = None
    """How it picks as soon as two classes have labels; None if labels do not matter to it."""


def doubt(probabilities: Floats) -> Floats:
    """Return 1 minus the difference of the two highest of C >= 2 probabilities (N, C); (N,)."""
    highest = np.partition(probabilities, -2, axis=1)[:, -2:]
    return 1.0 - (highest[:, 1] - highest[:, 0])


MAX_HERDING = FeatureRule(max_herding, "stands for many images without labels")
KERNEL_CRITIC = FeatureRule(kernel_herding, "least like the labeled images")
UNCERTAINTY_HERDING = FeatureRule(
    max_herding, "stands for many images that the model is unsure of", uncertainty_herding
)
