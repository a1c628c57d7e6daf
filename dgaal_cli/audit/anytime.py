"""Bounds that hold however often one looks: may labeling stop now?

The images of an audit are asked in the order of their draws. Let X be the weight of a drawn image
if the model is wrong on it, else 0: its mean m, given all earlier draws, is the model's error. X is
at most B, and an exponential lies below its chord, so for each rate r the product of
exp(-r X) / (1 - c m) over the draws, with c = (1 - exp(-r B)) / B, is a supermartingale, and so is
its average over several r. By Ville's inequality it ever reaches 1 / alpha with a probability of
alpha at most. By the concavity of the logarithm it is never below its value for the average of the
means: the bound also holds where several audits were drawn from several pools.
See Howard et al. 2021 ("Time-uniform, nonparametric, nonasymptotic confidence sequences") and
Waudby-Smith & Ramdas 2024 ("Estimating means of bounded random variables by betting").
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.design import MAX_WEIGHT
from dgaal_cli.audit.estimate import LEVEL

_RATES = np.geomspace(0.1, 6.0, 12) / MAX_WEIGHT
_LOWERED = (1 - np.exp(-_RATES * MAX_WEIGHT)) / MAX_WEIGHT
_RAISED = (np.exp(_RATES * MAX_WEIGHT) - 1) / MAX_WEIGHT


def lower_bound(answers: Sequence[AuditAnswer], level: float = LEVEL) -> float:
    """Return a bound, 0..1, that exceeds the accuracy with probability ``1 - level`` at most.

    That probability holds for all looks together. The accuracy is that of ``estimate``.

    Args:
        answers: In the order of the draws, without gaps: the first missing answer ends them.
        level: 0..1.
    """
    if not answers:
        return 0.0
    weights = sum(answer.weight for answer in answers if not answer.is_right)
    # Errors that were drawn are no longer in the pool: the mean of the next X is lower by that.
    seen, drawn = dict.fromkeys((answer.audit for answer in answers), 0), 0.0
    for answer in answers:
        drawn += seen[answer.audit] / answer.total
        seen[answer.audit] += not answer.is_right
    mean = _least(lambda mean: -_RATES * weights - len(answers) * np.log1p(-_LOWERED * mean), level)
    return max(0.0, 1 - mean - drawn / len(answers))


def upper_bound(answers: Sequence[AuditAnswer], level: float = LEVEL) -> float:
    """Return a bound, 0..1, that is below the accuracy with probability ``1 - level`` at most.

    As for ``lower_bound``, this holds for all looks together.
    """
    if not answers:
        return 1.0
    weights = sum(answer.weight for answer in answers if not answer.is_right)
    # An image is as likely as 1 / (images left), which is above 1 / (images of its stratum).
    counts: dict[tuple[int, int], int] = {}
    for answer in answers:
        key = (answer.audit, answer.stratum.number)
        counts[key] = counts.get(key, 0) + 1
    sizes = {(a.audit, a.stratum.number): a.stratum.size for a in answers}
    left = min(1 - (count - 1) / sizes[key] for key, count in counts.items())

    mean = _least(
        lambda mean: _RATES * weights - len(answers) * np.log1p(_RAISED * (1 - mean)), level
    )
    return 1 - (1 - mean) * left


def _least(exponents: Callable[[float], np.ndarray], level: float) -> float:
    """Return the least mean, 0..1, whose exponents are too large; 1 if there is none."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        is_too_large = _log_mean(exponents(middle)) > -math.log(1 - level)
        low, high = (low, middle) if is_too_large else (middle, high)
    return high


def _log_mean(exponents: np.ndarray) -> float:
    """Return the logarithm of the mean of exponentials."""
    top = float(exponents.max())
    return top + math.log(float(np.exp(exponents - top).mean()))
