"""Rules that choose images by rows of features, without torch and without a training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dgaal_cli.features.herding import Picks, kernel_herding, max_herding
from dgaal_cli.features.kernel import FeatureRows, Floats, Ids


class Pick(Protocol):
    """See ``features.herding.max_herding``."""

    def __call__(
        self, rows: FeatureRows, ids: Ids, labeled: Ids, count: int, *, weights: Floats | None
    ) -> Picks:
        """Pick ``count`` of the rows (N, D) that are not at the positions ``labeled``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoolAnswers:
    """The labels of a pool, of two classes at least."""

    ids: Ids
    """(N,): unique id of each row."""
    labels: Ids
    """(N,): class of each row, 0..C - 1; -1 without a label."""
    probabilities: Floats | None
    """(N, C): of a task model T; None if none is fitted."""
    groups: Ids | None = None
    """(N,): the same for images of a group; None: each image is a group of its own."""


@dataclass(frozen=True, slots=True)
class FeatureRule:
    """How a method picks rows of features."""

    pick: Pick
    reason: str
    """Why each pick was chosen, in a few words."""
    weigh: Callable[[FeatureRows, PoolAnswers], Floats | None] | None = None
    """How much each row (N,) of the pool counts, at least 0, as soon as two classes have labels.
    Without it, or if it returns None, all count the same."""

    def choose(
        self, rows: FeatureRows, ids: Ids, labeled: Ids, count: int, answers: PoolAnswers | None
    ) -> Picks:
        """Pick ``count`` rows; see ``features.herding.max_herding`` for the arguments.

        ``answers`` is None until two classes have labels.
        """
        weights = None if answers is None or self.weigh is None else self.weigh(rows, answers)
        return self.pick(rows, ids, labeled, count, weights=weights)


def doubt(probabilities: Floats) -> Floats:
    """Return 1 minus the difference of the two highest of C >= 2 probabilities (N, C); (N,)."""
    highest = np.partition(probabilities, -2, axis=1)[:, -2:]
    return 1.0 - (highest[:, 1] - highest[:, 0])


def _weigh_by_doubt(_rows: FeatureRows, answers: PoolAnswers) -> Floats | None:
    return None if answers.probabilities is None else doubt(answers.probabilities)


MAX_HERDING = FeatureRule(max_herding, "stands for many images without labels")
KERNEL_CRITIC = FeatureRule(kernel_herding, "least like the labeled images")
UNCERTAINTY_HERDING = FeatureRule(
    max_herding, "stands for many images that the model is unsure of", _weigh_by_doubt
)
