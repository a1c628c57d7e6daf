"""Accuracy of a pool from its audited images, with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.parts import parts_of

LEVEL = 0.95
"""Probability with which an interval contains the true value."""
MIN_AUDITED = 30
"""With fewer answers no accuracy is shown."""
DOUBT = 6.0
"""Number of errors at which the variance found with strata counts as much as the one without."""
LOST = 4.0
"""Answers by which the sample counts less, because its variance is estimated too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate in 0..1, with the ends of its interval."""

    value: float
    low: float
    high: float


def estimate(answers: Sequence[AuditAnswer], level: float = LEVEL) -> Interval:
    """Estimate the accuracy of the pool, with Wilson's interval for a stratified sample.

    Each stratum counts by its size. Several audits are averaged, each by its number of answers. The
    interval is that of Wilson (1927) for as many answers as would give a simple random sample the
    same variance. With few errors that variance cannot be known by stratum: it is averaged with
    that of a sample in which every stratum has the same accuracy.

    Raises:
        ValueError: There are no answers.
    """
    if not answers:
        raise ValueError("no audited image has a label")
    parts = parts_of(answers)
    count, right = len(answers), sum(answer.is_right for answer in answers)
    value = min(1.0, math.fsum(part.size * part.right / part.answered for part in parts))
    usual = (value * count + 1) / (count + 2)
    found, same = 0.0, 0.0
    for part in parts:
        share = (part.right + 2 * usual) / (part.answered + 2)
        factor = part.size**2 / part.answered * part.left
        found += factor * share * (1 - share)
        same += factor * usual * (1 - usual)
    if same == 0:  # every image is answered
        return Interval(value=value, low=value, high=value)
    errors = min(right, count - right)
    variance = (errors * found + DOUBT * same) / (errors + DOUBT)
    return wilson(value, max(1.0, usual * (1 - usual) / variance - LOST), level)


def wilson(share: float, count: float, level: float = LEVEL) -> Interval:
    """Return Wilson's interval for a share, 0..1, of ``count`` independent answers."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    shrink = 1 / (1 + z * z / count)
    center = shrink * (share + z * z / (2 * count))
    half = shrink * z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return Interval(
        value=share,
        low=max(0.0, min(share, center - half)),
        high=min(1.0, max(share, center + half)),
    )


def cautious(share: float, count: float, level: float = LEVEL) -> Interval:
    """Return Wilson's interval with a correction for continuity: for few answers.

    It is wider than Wilson's, which misses too often for a share near 0 or 1 (Newcombe 1998,
    method 4).
    """
    z, usual = NormalDist().inv_cdf((1 + level) / 2), wilson(share, count, level)
    spread = z * z - 1 / count + 4 * count * share * (1 - share)
    low = 2 * count * share + z * z - 1 - z * math.sqrt(spread + 4 * share - 2)
    high = 2 * count * share + z * z + 1 + z * math.sqrt(spread - 4 * share + 2)
    scale = 2 * (count + z * z)
    # Below half an answer from 0 or 1 the correction would move an end inwards.
    return Interval(
        value=share,
        low=max(0.0, min(usual.low, low / scale)),
        high=min(1.0, max(usual.high, high / scale)),
    )
