"""Select images whose features stand for the pool: MaxHerding and the kernel critic.

They ask how well labeled images represent the pool under a Gaussian kernel k, and pick one image
after the other, each as if those picked before had labels.

Approximation: ``LANDMARKS`` rows, chosen at random, represent the pool; a pool of at most that many
rows is represented exactly. An average over the pool, which lies in 0..1, then has a standard error
of at most 0.5 / sqrt(2048) = 0.011. Every row is a candidate. Time is linear in the rows, in the
landmarks and, for the critic, in the labels; a matrix has at most ``BLOCK`` times as many values as
there are landmarks, or ``kernel.MAX_KEPT`` if it saves computing values again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.kernel import (
    FeatureRows,
    Floats,
    GaussianKernel,
    Ids,
    LandmarkValues,
    blocks,
    kernel_for,
    sample,
    squared_distances,
)
from dgaal_cli.features.lazy_greedy import TIE, pick_greedily

LANDMARKS = 2048
"""Rows that represent the pool."""

TINY = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """Selected rows of a pool of N."""

    positions: Ids
    """First pick first."""
    values: Floats
    """Value of each pick when it was picked; higher is better."""
    scores: Floats
    """(N,): value of each row before the first pick; that of labeled rows has no meaning."""


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkScore:
    """Value of any row x: ``sum of w_l max(k(x, l) - f_l, 0)`` over landmarks l."""

    points: Floats
    """(L, D): landmarks."""
    width: float
    """Of the Gaussian kernel."""
    weights: Floats
    """(L,)."""
    floors: Floats
    """(L,), 0..1."""

    def __call__(self, rows: Floats) -> Floats:
        """Return the values (n,) of rows (n, D)."""
        values = np.exp(squared_distances(rows, self.points) * (-0.5 / self.width**2))
        return np.maximum(values - self.floors, 0.0) @ self.weights


def landmark_score(
    pick: Callable[..., Picks],
    rows: FeatureRows,
    ids: Ids,
    labeled: Ids,
    *,
    weights: Floats | None = None,
) -> LandmarkScore:
    """Return the values before the first pick of ``max_herding`` or ``kernel_herding``.

    They are those in ``Picks.scores``, for any row: what an exported sampler computes.
    """
    make = _Coverage if pick is max_herding else _Witness
    kernel = kernel_for(rows, ids, scale=1.0)
    return make(rows, kernel, sample(ids, LANDMARKS), labeled, weights).as_landmarks()


def max_herding(
    rows: FeatureRows,
    ids: Ids,
    labeled: Ids,
    count: int,
    *,
    scale: float = 1.0,
    weights: Floats | None = None,
) -> Picks:
    """Pick rows that raise the generalized coverage most (Bae et al. 2024, arXiv 2407.12212).

    The coverage is the mean over the pool of the kernel's value to the nearest labeled row. A value
    is the gain in coverage.

    With the uncertainty of a task model as weights this is Uncertainty Herding (Bae et al. 2024,
    arXiv 2412.20644). Ours: the width of the kernel follows the median distance only, not the
    labels.

    Args:
        rows: Features (N, D) of the pool, labeled images included.
        ids: Unique id of each row, (N,); the result does not depend on the order of rows.
        labeled: Positions of labeled rows.
        count: Number of picks; all other rows if there are fewer.
        scale: Kernel width as a multiple of the median distance.
        weights: How much each row counts in the mean, (N,), at least 0; None counts all alike.
    """
    kernel = kernel_for(rows, ids, scale=scale)
    criterion = _Coverage(rows, kernel, sample(ids, LANDMARKS), labeled, weights)
    return _picked(criterion, ids, labeled, count)


def kernel_herding(
    rows: FeatureRows,
    ids: Ids,
    labeled: Ids,
    count: int,
    *,
    scale: float = 1.0,
    weights: Floats | None = None,
) -> Picks:
    """Pick rows that look least like labeled ones to a critic that is refitted after each pick.

    The critic is the witness function of the maximum mean discrepancy between pool and labels:
    ``w(x) = mean over the pool of k(x, u) - mean over the labels of k(x, l)``. Of all functions in
    the unit ball of the kernel's space its multiple tells the two apart best. Without labels the
    second mean is 0. Picking its maximum again and again is kernel herding (Chen, Welling & Smola
    2010). The weights apply to the first mean. See ``max_herding`` for the arguments.
    """
    kernel = kernel_for(rows, ids, scale=scale)
    criterion = _Witness(rows, kernel, sample(ids, LANDMARKS), labeled, weights)
    return _picked(criterion, ids, labeled, count)


LANDMARK_PICKS: tuple[Callable[..., Picks], ...] = (max_herding, kernel_herding)
"""Rules whose values ``landmark_score`` gives for any row."""


def _picked(criterion: "_Coverage | _Witness", ids: Ids, labeled: Ids, count: int) -> Picks:
    scores = criterion.bounds().copy()
    is_open = np.ones(len(ids), np.bool_)
    is_open[labeled] = False
    positions, values = pick_greedily(criterion, ids, is_open, count)
    return Picks(positions=positions, values=values, scores=scores)


def _shares(landmarks: Ids, weights: Floats | None) -> Floats:
    """Return the part of each landmark in a mean over the pool."""
    own = np.ones(len(landmarks)) if weights is None else weights[landmarks]
    return own / max(1, len(landmarks))


class _Coverage:
    """Gain in coverage of each row: see ``lazy_greedy.Criterion``. Gains only fall."""

    def __init__(
        self,
        rows: FeatureRows,
        kernel: GaussianKernel,
        landmarks: Ids,
        labeled: Ids,
        weights: Floats | None,
    ) -> None:
        self._values = LandmarkValues(rows, kernel, landmarks)
        self._shares = _shares(landmarks, weights)
        self._nearest = np.zeros(len(landmarks))
        """Kernel value of each landmark to its nearest label."""
        for part in blocks(len(labeled)):
            self._cover(labeled[part])
        self._gains = np.concatenate(
            [np.empty(0), *(self._gain(part) for part in blocks(len(rows)))]
        )
        self._is_current = np.ones(len(rows), np.bool_)

    def bounds(self) -> Floats:
        return self._gains

    def as_landmarks(self) -> LandmarkScore:
        kernel = self._values.kernel
        points = self._values.landmarks + kernel.origin
        return LandmarkScore(points, kernel.width, self._shares, self._nearest)

    def is_exact(self) -> npt.NDArray[np.bool_]:
        return self._is_current | (self._gains <= TIE)

    def refresh(self, positions: Ids) -> Floats:
        for part in blocks(len(positions)):
            self._gains[positions[part]] = self._gain(positions[part])
        self._is_current[positions] = True
        return self._gains[positions]

    def add(self, position: int) -> None:
        self._cover(np.array([position]))
        self._is_current[:] = False

    def _gain(self, which: "slice | Ids") -> Floats:
        gains = self._values(which) - self._nearest
        return np.maximum(gains, 0.0, out=gains) @ self._shares

    def _cover(self, positions: Ids) -> None:
        np.maximum(self._nearest, self._values(positions).max(axis=0), out=self._nearest)


class _Witness:
    """Value of the witness function at each row: see ``lazy_greedy.Criterion``.

    The sum of a row's kernel values to the labels only grows, so the sum over those of an earlier
    step gives an upper bound.
    """

    def __init__(
        self,
        rows: FeatureRows,
        kernel: GaussianKernel,
        landmarks: Ids,
        labeled: Ids,
        weights: Floats | None,
    ) -> None:
        self._rows, self._kernel = rows, kernel
        shares = _shares(landmarks, weights)
        shares /= max(shares.sum(), TINY)  # a mean, like that over the labels
        own = kernel.read(rows, landmarks)
        self._own, self._shares = own, shares
        self._labels = kernel.read(rows, labeled)
        self._pool_means, self._label_sums = np.empty(len(rows)), np.zeros(len(rows))
        self._counted = np.full(len(rows), len(labeled))
        """Number of labels in each row's sum."""
        for part in blocks(len(rows)):
            points = kernel.read(rows, part)
            self._pool_means[part] = kernel(points, own) @ shares
            for some in blocks(len(labeled)):
                self._label_sums[part] += kernel(points, self._labels[some]).sum(axis=1)

    def as_landmarks(self) -> LandmarkScore:
        points = np.concatenate([self._own, self._labels]) + self._kernel.origin
        of_labels = np.full(len(self._labels), -1 / max(1, len(self._labels)))
        weights = np.concatenate([self._shares, of_labels])
        return LandmarkScore(points, self._kernel.width, weights, np.zeros(len(weights)))

    def bounds(self) -> Floats:
        return self._pool_means - self._label_sums / max(1, len(self._labels))

    def is_exact(self) -> npt.NDArray[np.bool_]:
        return self._counted == len(self._labels)

    def refresh(self, positions: Ids) -> Floats:
        for part in blocks(len(positions)):
            some = positions[part]
            first = int(self._counted[some].min())
            values = self._kernel(self._kernel.read(self._rows, some), self._labels[first:])
            is_new = np.arange(first, len(self._labels)) >= self._counted[some, None]
            self._label_sums[some] += (values * is_new).sum(axis=1)
        self._counted[positions] = len(self._labels)
        label_means = self._label_sums[positions] / max(1, len(self._labels))
        return self._pool_means[positions] - label_means

    def add(self, position: int) -> None:
        row = self._kernel.read(self._rows, np.array([position]))
        self._labels = np.concatenate([self._labels, row])
