"""Which images of a pool to audit: strata by confidence, then random draws."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.audit.stratum import Stratum

MAX_STRATA = 5
"""More strata gain little."""
_HIGHEST = 0.98
"""A higher confidence counts as this: a model that is surer than right is audited there too."""
MAX_WEIGHT = 1.5
"""What an image counts at most, where one of a simple random sample counts 1."""
_BY_SIZE = 1 / MAX_WEIGHT
_FULL = 0.5
"""Share of a stratum above which no more draws are expected in it; else there is one stratum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One image to audit."""

    position: int
    """In the pool."""
    stratum: Stratum


def draw(confidences: npt.NDArray[np.floating], count: int, *, seed: int) -> list[Draw]:
    """Draw images of a pool for an audit, in the order in which they are to be asked.

    Each draw picks a stratum by its share, then one of the stratum's images that are not drawn yet,
    each with the same probability. Two thirds of the draws are shared out by the size N_h of the
    strata, and one third by N_h sqrt(p (1 - p)), where p is the mean confidence: Neyman's
    allocation (1934) with strata by predicted correctness (Fogliato et al. 2024, arXiv 2406.07320).
    The two thirds keep an image from counting more than ``MAX_WEIGHT``, so a wrong confidence costs
    little. It does not bias the estimate.

    Args:
        confidences: Predicted probability (N,) that the model is right on each image, 0..1.
        count: Images to draw; all are drawn if there are no more.
        seed: Seed of the draws.

    Raises:
        ValueError: ``count`` is below 1, the pool is empty or a confidence is not in 0..1.
    """
    total = len(confidences)
    if count < 1 or not total:
        raise ValueError("an audit needs at least one image")
    if not np.all((confidences >= 0) & (confidences <= 1)):
        raise ValueError("a confidence must be in 0..1")
    count = min(count, total)
    order = np.argsort(confidences, kind="stable")
    chances = np.clip(confidences[order].astype(np.float64), 1 - _HIGHEST, _HIGHEST)
    sizes, shares = _strata(chances, max(1, min(MAX_STRATA, count // 2)))
    if np.any(count * shares > _FULL * sizes):
        sizes, shares = np.array([total]), np.ones(1)
    strata = [
        Stratum(number=number, size=size, share=share)
        for number, (size, share) in enumerate(zip(sizes.tolist(), shares.tolist(), strict=True))
    ]
    random = np.random.default_rng(seed)
    parts = np.split(order, np.cumsum(sizes)[:-1])
    left = [random.permutation(part).tolist() for part in parts]
    return _draws(strata, random.choice(len(strata), count, p=shares).tolist(), left)


def _draws(strata: Sequence[Stratum], picks: Sequence[int], left: list[list[int]]) -> list[Draw]:
    """Draw from strata in the order of ``picks``, until one is empty."""
    found: list[Draw] = []
    for number in picks:
        if not left[number]:  # other shares would be needed from here on
            break
        found.append(Draw(position=left[number].pop(), stratum=strata[number]))
    return found


def _strata(
    chances: npt.NDArray[np.float64], parts: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return size and share of each stratum of ascending chances.

    They are cut where the sum of sqrt(p (1 - p)) is divided equally.
    """
    deviations = np.cumsum(np.sqrt(chances * (1 - chances)))
    limits = deviations[-1] * np.arange(1, parts) / parts
    piece_of = np.searchsorted(limits, deviations)
    pieces = [piece for k in range(parts) if len(piece := chances[piece_of == k])]
    sizes = np.array([len(piece) for piece in pieces])
    means = np.array([piece.mean() for piece in pieces])
    neyman = sizes * np.sqrt(means * (1 - means))
    return sizes, _BY_SIZE * sizes / sizes.sum() + (1 - _BY_SIZE) * neyman / neyman.sum()
