"""Bounds of goals that hold however often one looks."""

from collections.abc import Sequence
from dataclasses import replace

from dgaal_cli.audit.anytime import lower_bound, upper_bound
from dgaal_cli.audit.classes import ClassAnswer
from dgaal_cli.audit.estimate import LEVEL
from dgaal_cli.audit.goal import Bounds, Goal


def goal_bounds(answers: Sequence[ClassAnswer], goal: Goal, level: float = LEVEL) -> Bounds:
    """Bound the measure of a goal; either bound is wrong with probability ``1 - level`` at most.

    Recall is h / (h + m), where h is the share of the pool that is of the class and predicted as
    it, and m the share that is of the class and predicted otherwise; in precision, m is predicted
    as the class and is another one. Each bound joins a bound of h with one of m, at half of the
    risk each.

    Args:
        answers: In the order of the draws, without gaps.
        goal: What to bound.
        level: 0..1.
    """
    if goal.kind == "accuracy":
        own = [each.answer for each in answers]
        return Bounds(low=lower_bound(own, level), high=upper_bound(own, level))
    is_hit = [each.label == each.predicted == goal.uid for each in answers]
    domain = [(e.label if goal.kind == "recall" else e.predicted) == goal.uid for e in answers]
    is_miss = [of and not hit for of, hit in zip(domain, is_hit, strict=True)]
    half = (1 + level) / 2
    hits, misses = _share(answers, is_hit, half), _share(answers, is_miss, half)
    return Bounds(low=_ratio(hits.low, misses.high), high=_ratio(hits.high, misses.low, empty=1.0))


def _ratio(hits: float, misses: float, *, empty: float = 0.0) -> float:
    return hits / (hits + misses) if hits > 0 else (0.0 if misses > 0 else empty)


def _share(answers: Sequence[ClassAnswer], is_in: Sequence[bool], level: float) -> Bounds:
    """Bound the share of the pool that is in a set."""
    own = [
        replace(each.answer, is_right=not inside)
        for each, inside in zip(answers, is_in, strict=True)
    ]
    return Bounds(low=1 - upper_bound(own, level), high=1 - lower_bound(own, level))
