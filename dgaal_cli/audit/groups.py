"""Accuracy for images of new groups, such as those of new patients, from audited images.

Images of one group are often right or wrong together, so they say less of new groups than as many
images of different groups. For the pool itself this does not matter: its audited images are drawn
one by one, so ``estimate`` is right for it, whatever its groups.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.estimate import DOUBT, LEVEL, LOST, Interval, wilson

MIN_GROUPS = 15
"""With fewer groups nothing is said of new ones: their spread is not known well enough."""


def for_new_groups(
    answers: Sequence[AuditAnswer], groups: Sequence[int], level: float = LEVEL
) -> Interval | None:
    """Estimate the accuracy for images of groups that are drawn as those of the pool were.

    The variance is that of a ratio over groups (the linearized, "ultimate cluster" variance of
    Hansen, Hurwitz and Madow 1953), divided by the one of independent images: Kish's design effect
    (1965). With few errors it cannot be known: it is averaged with that of groups which are right
    or wrong as a whole.

    Args:
        answers: Audited images.
        groups: A number for the group of each, the same for images of a group.
        level: Probability, 0..1, with which the interval contains the true value.

    Returns:
        None with fewer than ``MIN_GROUPS`` groups.
    """
    members: dict[int, list[AuditAnswer]] = defaultdict(list)
    for answer, group in zip(answers, groups, strict=True):
        members[group].append(answer)
    if len(members) < MIN_GROUPS:
        return None
    weights = math.fsum(answer.weight for answer in answers)
    value = math.fsum(answer.weight * answer.is_right for answer in answers) / weights

    def off(answer: AuditAnswer) -> float:
        return answer.weight * (answer.is_right - value)

    independent = math.fsum(off(answer) ** 2 for answer in answers)
    between = math.fsum(math.fsum(map(off, own)) ** 2 for own in members.values())
    squares = math.fsum(answer.weight**2 for answer in answers)
    whole = math.fsum(math.fsum(a.weight for a in own) ** 2 for own in members.values()) / squares
    right = sum(answer.is_right for answer in answers)
    errors = min(right, len(answers) - right)
    found = between / independent * len(members) / (len(members) - 1) if independent else whole
    effect = max(1.0, (errors * found + DOUBT * whole) / (errors + DOUBT))
    return wilson(value, max(1.0, weights**2 / squares / effect - LOST), level)
