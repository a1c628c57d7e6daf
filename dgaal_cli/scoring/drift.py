"""Are these images like those that the sampler learned from? Their scores, beside the pool's.

An artifact carries 101 percentiles of the training pool's scores. Counting new scores between them
is all that a stream needs to remember.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Level = Literal["none", "some", "strong"]

SOME, STRONG = 0.1, 0.25
"""Population stability index at which credit scoring, where it comes from, looks closer and acts
(Siddiqi 2006)."""
MIN_IMAGES = 50
_EDGES = range(10, 100, 10)
"""Percentiles between which images are counted for the index."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far the scores of new images lie from those of the training pool."""

    psi: float
    """Population stability index over tenths of the training pool."""
    ks: float
    """Kolmogorov-Smirnov distance, 0..1, at the known percentiles."""
    images: int
    level: Level

    def sentence(self) -> str:
        """Say it in words."""
        figures = f"population stability index {self.psi:.2f}, KS distance {self.ks:.2f}"
        return {
            "none": f"scores are spread as in the training pool ({figures})",
            "some": (
                f"scores are spread somewhat differently than in the training pool ({figures}); "
                "look at the best before you rely on the ranking"
            ),
            "strong": (
                "these images are not like the training pool: their scores are spread very "
                f"differently ({figures}); the ranking may mean little here, so label some of "
                "them and train again"
            ),
        }[self.level]


class DriftMeter:
    """Takes scores as they come and compares them at the end."""

    def __init__(self, quantiles: tuple[float, ...]) -> None:
        """Begin without any score.

        Args:
            quantiles: Scores of the training pool at 0, 1, ... 100 %, ascending; may be empty.
        """
        # float32, as scores are: a bound must not lie beside the score that it came from.
        self._bounds = np.array(quantiles, np.float32)
        self._up_to: Counts = np.zeros(len(quantiles) + 1, np.int64)
        self._below: Counts = np.zeros(len(quantiles) + 1, np.int64)

    def add(self, scores: npt.NDArray[np.float32]) -> None:
        """Take scores of shape (n,)."""
        if not self._bounds.size:
            return
        length = len(self._up_to)
        self._up_to += np.bincount(np.searchsorted(self._bounds, scores, "left"), minlength=length)
        self._below += np.bincount(np.searchsorted(self._bounds, scores, "right"), minlength=length)

    def result(self) -> Drift | None:
        """Compare; None where there is nothing to compare with, or too little to compare."""
        images = int(self._up_to.sum())
        if not self._bounds.size or images < MIN_IMAGES:
            return None
        up_to = np.cumsum(self._up_to)[:-1]
        below = np.cumsum(self._below)[:-1]
        steps = len(self._bounds) - 1
        # Equal percentiles: the pool holds many equal scores, and its distribution jumps there.
        first = np.searchsorted(self._bounds, self._bounds, "left") / steps
        last = (np.searchsorted(self._bounds, self._bounds, "right") - 1) / steps
        ks = max(np.abs(up_to / images - last).max(), np.abs(below / images - first).max())
        psi, bins = self._stability(up_to, last, images)
        # Chance alone gives a chi-squared over the number of images: its mean and two deviations
        # must not read as drift.
        freedom = bins - 1
        beyond_chance = psi - (freedom + 2 * (2 * freedom) ** 0.5) / images
        level: Level = "none" if beyond_chance < SOME else "some"
        if beyond_chance >= STRONG:
            level = "strong"
        return Drift(psi=psi, ks=float(ks), images=images, level=level)

    def _stability(
        self, up_to: Counts, reference: npt.NDArray[np.float64], images: int
    ) -> tuple[float, int]:
        """Return the population stability index and over how many bins it is."""
        _, places = np.unique(self._bounds[list(_EDGES)], return_index=True)
        edges = np.array(_EDGES)[places]
        edges = edges[reference[edges] < 1.0]
        expected = np.diff(np.concatenate([[0.0], reference[edges], [1.0]]))
        counts = np.diff(np.concatenate([[0], up_to[edges], [images]]))
        found = (counts + 0.5) / (images + 0.5 * len(counts))  # an empty bin has no logarithm
        return float(((found - expected) * np.log(found / expected)).sum()), len(counts)
