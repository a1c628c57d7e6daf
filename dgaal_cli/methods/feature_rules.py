"""Rules that choose images by rows of features, without torch and without a training."""

from dataclasses import dataclass
from typing import Protocol

from dgaal_cli.features.herding import Picks, kernel_herding, max_herding
from dgaal_cli.features.kernel import FeatureRows, Ids


class Pick(Protocol):
    """See ``features.herding.max_herding``."""

    def __call__(self, rows: FeatureRows, ids: Ids, labeled: Ids, count: int, /) -> Picks:
        """Pick ``count`` of the rows (N, D) that are not at the positions ``labeled``."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureRule:
    """How a method picks rows of features."""

    pick: Pick
    reason: str
    """Why each pick was chosen, in a few words."""


MAX_HERDING = FeatureRule(max_herding, "stands for many images without labels")
KERNEL_CRITIC = FeatureRule(kernel_herding, "least like the labeled images")
