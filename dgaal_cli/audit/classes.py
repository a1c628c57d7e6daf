"""Recall and precision of each class of a pool from its audited images, with intervals.

Accuracy says little where a class is rare: a model that never names it may be right on 99 % of the
pool. A share within a class is a ratio of two sums over the sample. Its variance is that of a
linearized ratio in a stratified sample (Cochran 1977, section 6.11), and its interval is that of
as many independent answers as have this variance, but of no more than were given (Korn & Graubard
1998, "Confidence intervals for proportions with small expected number of positive counts").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.estimate import LEVEL, Interval, cautious
from dgaal_cli.audit.parts import Part, parts_of
from dgaal_cli.ids import ClassUid

MIN_OF_CLASS = 5
"""With fewer audited images, no share of a class is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAnswer:
    """An audited image with its label and what the model predicts."""

    answer: AuditAnswer
    label: ClassUid
    predicted: ClassUid


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEstimate:
    """How good the model is on one class of the pool."""

    uid: ClassUid
    labeled: int
    """Audited images with this label."""
    predicted: int
    """Audited images for which the model predicts the class."""
    recall: Interval | None
    """Share of the class's images for which the model predicts it; None: too few to tell."""
    precision: Interval | None
    """Share of the images predicted as the class that are of it; None: too few to tell."""


def class_estimates(
    answers: Sequence[ClassAnswer], classes: Sequence[ClassUid], level: float = LEVEL
) -> list[ClassEstimate]:
    """Estimate recall and precision on the pool for each of ``classes``.

    Args:
        answers: Of all audits.
        classes: Classes in use, in the order of the result.
        level: Of each interval, 0..1.
    """
    parts = parts_of([each.answer for each in answers])
    labels = np.array([each.label for each in answers], np.str_)
    predicted = np.array([each.predicted for each in answers], np.str_)
    found: list[ClassEstimate] = []
    for uid in classes:
        of_label, of_prediction = labels == uid, predicted == uid
        hits = of_label & of_prediction
        found.append(
            ClassEstimate(
                uid=uid,
                labeled=int(of_label.sum()),
                predicted=int(of_prediction.sum()),
                recall=_share(hits, of_label, parts, level),
                precision=_share(hits, of_prediction, parts, level),
            )
        )
    return found


def class_shares(
    answers: Sequence[ClassAnswer], classes: Sequence[ClassUid], level: float = LEVEL
) -> list[Interval]:
    """Estimate which share of the pool each class is.

    Raises:
        ValueError: There are fewer than ``MIN_OF_CLASS`` answers.
    """
    parts = parts_of([each.answer for each in answers])
    labels, every = np.array([each.label for each in answers], np.str_), np.ones(len(answers), bool)
    shares = [_share(labels == uid, every, parts, level) for uid in classes]
    found = [share for share in shares if share is not None]
    if len(found) < len(classes):
        raise ValueError(f"{len(answers)} answers are too few")
    return found


def balanced_accuracy(found: Sequence[ClassEstimate]) -> Interval | None:
    """Return the mean recall of the classes; None if it is unknown for one of them.

    The interval adds the squared distances to the ends of the classes' intervals, which need not be
    symmetric (Zou & Donner 2008).
    """
    recalls = [each.recall for each in found if each.recall is not None]
    if not recalls or len(recalls) < len(found):
        return None
    value = math.fsum(each.value for each in recalls) / len(recalls)
    below = math.hypot(*(each.value - each.low for each in recalls)) / len(recalls)
    above = math.hypot(*(each.high - each.value for each in recalls)) / len(recalls)
    return Interval(value=value, low=max(0.0, value - below), high=min(1.0, value + above))


def _share(
    hits: npt.NDArray[np.bool_], domain: npt.NDArray[np.bool_], parts: Sequence[Part], level: float
) -> Interval | None:
    """Estimate which share of a domain of the pool are hits; None with too few answers."""
    if int(domain.sum()) < MIN_OF_CLASS:
        return None
    weights = np.zeros(len(domain))
    for part in parts:
        weights[part.positions] = part.size / part.answered
    weights *= domain
    total = float(weights.sum())
    value = min(1.0, float(weights[hits].sum()) / total)
    if all(part.left == 0 for part in parts):  # every image is answered
        return Interval(value=value, low=value, high=value)
    deviations = weights * (hits - value) / total
    variance = math.fsum(_variance(deviations[part.positions]) * part.left for part in parts)
    most = total**2 / float((weights**2).sum())
    count = min(most, value * (1 - value) / variance) if variance > 0 else most
    return cautious(value, max(1.0, count), level)


def _variance(deviations: npt.NDArray[np.float64]) -> float:
    """Return the variance of the sum of a stratum's deviations (n,)."""
    count = len(deviations)
    if count == 1:
        return float(deviations[0] ** 2)
    return count / (count - 1) * float(((deviations - deviations.mean()) ** 2).sum())
