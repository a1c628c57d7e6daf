"""Drift: compare the distribution of new scores with that of the training pool.

An artifact contains 101 percentiles of the training pool's scores. A stream of scores is reduced to
counts between these percentiles.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Level = Literal["none", "some", "strong"]

SOME, STRONG = 0.1, 0.25
"""Thresholds of the population stability index: investigate, and act (credit scoring, Siddiqi
2006)."""
MIN_IMAGES = 50
_EDGES = range(10, 100, 10)
"""Percentiles that separate the bins of the index."""

_SAME = 1e-5
"""Scores that differ by less than this share of the pool's range count as equal: an engine rounds
otherwise than the one that scored the pool, and all labeled images of a covered pool are at 0."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Difference between the scores of new images and those of the training pool."""

    psi: float
    """Population stability index over deciles of the training pool."""
    ks: float
    """Kolmogorov-Smirnov distance, 0..1, measured at the stored percentiles."""
    images: int
    level: Level

    def sentence(self) -> str:
        """Describe the level and the measures in one sentence."""
        figures = f"population stability index {self.psi:.2f}, KS distance {self.ks:.2f}"
        return {
            "none": f"scores are distributed as in the training pool ({figures})",
            "some": (
                f"scores differ somewhat from those of the training pool ({figures}); "
                "check the best images before you rely on the ranking"
            ),
            "strong": (
                "these images differ from the training pool: their scores are distributed very "
                f"differently ({figures}); the ranking may be unreliable, so label some of "
                "them and train again"
            ),
        }[self.level]


class DriftMeter:
    """Counts a stream of scores and compares them with the training pool at the end."""

    def __init__(self, quantiles: tuple[float, ...]) -> None:
        """Start with the training pool's scores at 0, 1, ... 100 %, ascending; may be empty."""
        # float32 like the scores, so that a bound equals the score that it was computed from.
        bounds = np.array(quantiles, np.float32)
        self._step = _SAME * float(bounds[-1] - bounds[0]) if bounds.size else 0.0
        self._bounds = self._rounded(bounds)
        self._up_to: Counts = np.zeros(len(quantiles) + 1, np.int64)
        self._below: Counts = np.zeros(len(quantiles) + 1, np.int64)

    def add(self, scores: npt.NDArray[np.float32]) -> None:
        """Add scores of shape (n,)."""
        if not self._bounds.size:
            return
        length = len(self._up_to)
        scores = self._rounded(scores)
        self._up_to += np.bincount(np.searchsorted(self._bounds, scores, "left"), minlength=length)
        self._below += np.bincount(np.searchsorted(self._bounds, scores, "right"), minlength=length)

    def _rounded(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if not self._step:
            return scores
        return (np.round(scores / self._step) * self._step).astype(np.float32)

    def result(self) -> Drift | None:
        """Return the drift; None without quantiles or with fewer than ``MIN_IMAGES`` scores."""
        images = int(self._up_to.sum())
        if not self._bounds.size or images < MIN_IMAGES:
            return None
        up_to = np.cumsum(self._up_to)[:-1]
        below = np.cumsum(self._below)[:-1]
        steps = len(self._bounds) - 1
        # Percentiles are equal where the pool has many equal scores: its distribution jumps there.
        first = np.searchsorted(self._bounds, self._bounds, "left") / steps
        last = (np.searchsorted(self._bounds, self._bounds, "right") - 1) / steps
        ks = max(np.abs(up_to / images - last).max(), np.abs(below / images - first).max())
        psi, bins = self._stability(up_to, last, images)
        # Without drift, psi * images is about chi-squared distributed: subtract its mean and two
        # standard deviations.
        freedom = bins - 1
        beyond_chance = psi - (freedom + 2 * (2 * freedom) ** 0.5) / images
        level: Level = "none" if beyond_chance < SOME else "some"
        if beyond_chance >= STRONG:
            level = "strong"
        return Drift(psi=psi, ks=float(ks), images=images, level=level)

    def _stability(
        self, up_to: Counts, reference: npt.NDArray[np.float64], images: int
    ) -> tuple[float, int]:
        """Return the population stability index and its number of bins."""
        _, indices = np.unique(self._bounds[list(_EDGES)], return_index=True)
        edges = np.array(_EDGES)[indices]
        edges = edges[reference[edges] < 1.0]
        expected = np.diff(np.concatenate([[0.0], reference[edges], [1.0]]))
        counts = np.diff(np.concatenate([[0], up_to[edges], [images]]))
        observed = (counts + 0.5) / (images + 0.5 * len(counts))  # + 0.5: log 0 is undefined
        return float(((observed - expected) * np.log(observed / expected)).sum()), len(counts)
