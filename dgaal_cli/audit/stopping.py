"""Stopping criteria of the field, for comparison with the audit.

None is best everywhere (Pullar-Strecker et al. 2022, "Hitting the target: stopping active learning
at the cost-based optimum"). None states how accurate the model is, as an audit does. The thresholds
are dgaal's own choice. Uncertainty is 1 minus the probability of the predicted class; Zhu et al.
take the entropy.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

AGREEMENT = 0.99
"""Stabilizing predictions: mean Cohen's kappa of successive models (Bloodgood & Vijay-Shanker
2009)."""
_MODELS = 3
"""Number of the newest agreements that are averaged."""
UNCERTAINTY = 0.01
"""Overall uncertainty and maximum confidence (Zhu et al. 2010): mean over the pool, and maximum
over the query, of 1 minus the probability of the predicted class."""
CHANGE = 0.005
"""Performance convergence (Laws & Schütze 2008): change of the accuracy from model to model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One stopping criterion."""

    name: str
    value: float | None
    """What is compared; None if it is not known yet."""
    threshold: float
    says_stop: bool


def criteria(
    predictions: Sequence[Mapping[Any, Hashable]],
    *,
    pool_uncertainty: float | None,
    query_uncertainty: float | None,
    accuracies: Sequence[float],
) -> list[Criterion]:
    """Return what each criterion says.

    Args:
        predictions: Predicted class of each image of a fixed set, by model, oldest first.
        pool_uncertainty: Mean uncertainty of the newest model on the unlabeled images, 0..1.
        query_uncertainty: Its maximum uncertainty on the images of the newest query, 0..1.
        accuracies: Estimated accuracies of the models, oldest first.
    """
    pairs = list(pairwise(predictions))[-_MODELS:]
    kappas = [kappa for pair in pairs if (kappa := _kappa(*pair)) is not None]
    agreement = sum(kappas) / len(kappas) if len(kappas) == _MODELS else None
    change = abs(accuracies[-1] - accuracies[-2]) if len(accuracies) > 1 else None
    return [
        Criterion(
            name="stabilizing predictions",
            value=agreement,
            threshold=AGREEMENT,
            says_stop=agreement is not None and agreement >= AGREEMENT,
        ),
        _below("overall uncertainty", pool_uncertainty, UNCERTAINTY),
        _below("maximum confidence", query_uncertainty, UNCERTAINTY),
        _below("performance convergence", change, CHANGE),
    ]


def _below(name: str, value: float | None, threshold: float) -> Criterion:
    says_stop = value is not None and value < threshold
    return Criterion(name=name, value=value, threshold=threshold, says_stop=says_stop)


def _kappa(first: Mapping[Any, Hashable], second: Mapping[Any, Hashable]) -> float | None:
    """Return Cohen's kappa on the images that both predict; None without any."""
    common = [(first[item], second[item]) for item in first if item in second]
    if not common:
        return None
    count = len(common)
    same = sum(one == other for one, other in common) / count
    ones, others = Counter(one for one, _ in common), Counter(other for _, other in common)
    by_chance = sum(ones[name] * others[name] for name in ones) / count**2
    return 1.0 if by_chance == 1 else (same - by_chance) / (1 - by_chance)
