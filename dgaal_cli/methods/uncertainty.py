"""Ask where the task model hesitates: least confidence, margin, entropy."""

import numpy as np
from torch import nn

from dgaal_cli.methods.by_score import ByScore
from dgaal_cli.networks.deploy import MarginSampler
from dgaal_cli.networks.samplers import ConfidenceSampler, EntropySampler
from dgaal_cli.training.data import RoundData


class Margin(ByScore):
    """Smallest gap between the two likeliest classes first (Scheffer, Decomain & Wrobel 2001)."""

    name = "margin"
    reason = "near a class boundary"

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """One minus the margin."""
        return boundary_closeness(self.said(data, rows).probabilities)

    def deploy(self, data: RoundData) -> dict[str, nn.Module]:
        """The classifier, and a sampler that ranks by its margin."""
        modules = super().deploy(data)
        return modules | {"sampler": MarginSampler(self.classifier)} if modules else {}


class LeastConfidence(ByScore):
    """Least probability of the likeliest class first (Lewis & Gale 1994)."""

    name = "least-confidence"
    reason = "no class is likely"

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """``1 - max_k p_k``, as the sum of all that is not the largest: exact near zero."""
        return remainder(self.said(data, rows).probabilities)

    def deploy(self, data: RoundData) -> dict[str, nn.Module]:
        """The classifier, and a sampler that ranks by its confidence."""
        return super().deploy(data) | {"sampler": ConfidenceSampler(self.classifier)}


class Entropy(ByScore):
    """Most spread prediction first (Shannon 1948; Dagan & Engelson 1995 for queries)."""

    name = "entropy"
    reason = "the classes are evenly likely"

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """``-sum_k p_k log p_k`` in nats."""
        return entropy(self.said(data, rows).probabilities)

    def deploy(self, data: RoundData) -> dict[str, nn.Module]:
        """The classifier, and a sampler that ranks by its entropy."""
        return super().deploy(data) | {"sampler": EntropySampler(self.classifier)}


def boundary_closeness(probabilities: np.ndarray) -> np.ndarray:
    """Return one minus the margin p1 - p2 of ``(N, K)`` probabilities, shape ``(N,)``.

    Written as in ``networks.deploy.closeness``: p2 plus all that is not p1, exact near zero.
    """
    descending = -np.sort(-probabilities, axis=1)
    return descending[:, 1] + descending[:, 1:].sum(1)


def remainder(probabilities: np.ndarray) -> np.ndarray:
    """Return one minus the largest of ``(N, K)`` probabilities, shape ``(N,)``."""
    return np.sort(probabilities, axis=1)[:, :-1].sum(1)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the entropy over the last axis in nats; ``0 log 0`` is 0."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(-1)
