"""A plan for some hours: query sizes, training pauses, audited images, expected accuracy."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgaal_cli.audit.estimate import MIN_AUDITED, Interval
from dgaal_cli.rounds.audit_draw import FROM_LABELS

if TYPE_CHECKING:
    from dgaal_cli.audit.forecast import Forecast

_GROWTH = 0.25
"""Labels of a query, as a share of all labels before it: later labels change the model less."""
_MAX_PAUSE = 0.1
"""A training should take at most this share of the time that its query takes."""
_AUDIT_SHARE = 0.1
_MAX_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a plan starts from."""

    seconds: float
    """Time that a person has."""
    answer_s: float
    """Seconds for an answer, above 0."""
    pause_s: float
    """Seconds of a training, in which nobody labels; 0 if the method needs none."""
    labels: int
    """Labels so far that the model learns from."""
    audited: int
    """Audited images so far."""
    left: int
    """Images that may be asked: unlabeled ones, within the budget."""
    size: int
    """Smallest query: ``query.size``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRound:
    """One query and the training after it."""

    images: int
    """Asked to be learned from."""
    audited: int
    """Asked in addition, to measure the model."""
    labeling_s: float
    pause_s: float
    labels: int
    """Labels to learn from, after it."""
    accuracy: Interval | None
    """Expected on the pool after it; None without a forecast."""


def day_plan(effort: Effort, curve: "Forecast | None") -> list[PlannedRound]:
    """Divide the time into rounds; empty if it is too short for one answer.

    A query has a quarter of the labels before it, ``query.size`` at least, and is long enough that
    training takes a tenth of the time. From 100 labels on, a tenth of the images is audited, and
    30 at least in all, if as many labels remain to be learned from as are audited.

    Args:
        effort: Time, pace and labels.
        curve: Learning curve ahead; None without one.
    """
    rounds: list[PlannedRound] = []
    seconds, labels, left, audited = effort.seconds, effort.labels, effort.left, effort.audited
    while len(rounds) < _MAX_ROUNDS:
        room = min(left, math.floor((seconds - effort.pause_s) / effort.answer_s))
        if room < 1:
            break
        wanted = max(
            effort.size,
            math.ceil(_GROWTH * labels),
            math.ceil(effort.pause_s / _MAX_PAUSE / effort.answer_s),
        )
        asked = min(room, wanted)
        own = 0
        if labels >= FROM_LABELS:
            missing = MIN_AUDITED - audited
            own = min(max(missing, round(_AUDIT_SHARE * wanted)), room // 2)
        images = min(asked, room - own)
        labeling_s = (images + own) * effort.answer_s
        labels, left, audited = labels + images, left - images - own, audited + own
        seconds -= labeling_s + effort.pause_s
        rounds.append(
            PlannedRound(
                images=images,
                audited=own,
                labeling_s=labeling_s,
                pause_s=effort.pause_s,
                labels=labels,
                accuracy=curve and curve.accuracy(max(0, labels - curve.labels)),
            )
        )
    return rounds
