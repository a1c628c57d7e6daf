"""Ask images of which the task model is uncertain: least confidence, margin, entropy."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods.by_score import ByScore
from dgaal_cli.methods.informativeness import boundary_closeness, entropy, remainder
from dgaal_cli.methods.task_model_only import ClassifierSampler
from dgaal_cli.networks.deploy import closeness, entropy_of
from dgaal_cli.training.data import RoundData


class MarginSampler(ClassifierSampler):
    """One minus the margin: images near a class boundary score high."""

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """``1 - (p1 - p2)``."""
        return closeness(logits)


class Margin(ByScore):
    """Smallest gap between the two most probable classes (Scheffer, Decomain & Wrobel 2001)."""

    name = "margin"
    reason = "near a class boundary"
    sampler_type = MarginSampler

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """One minus the margin."""
        return boundary_closeness(self.predict_rows(data, rows).probabilities)


class ConfidenceSampler(ClassifierSampler):
    """One minus the maximum probability."""

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """``1 - max_k p_k``, as the sum of the other probabilities."""
        probabilities = torch.softmax(logits, dim=1)
        return torch.sort(probabilities, dim=1, descending=True).values[:, 1:].sum(1)


class LeastConfidence(ByScore):
    """Smallest probability of the most probable class (Lewis & Gale 1994)."""

    name = "least-confidence"
    reason = "no class is likely"
    sampler_type = ConfidenceSampler

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """``1 - max_k p_k``, as the sum of the other probabilities: exact near zero."""
        return remainder(self.predict_rows(data, rows).probabilities)


class EntropySampler(ClassifierSampler):
    """Entropy of the prediction, in nats."""

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """``-sum_k p_k log p_k``."""
        return entropy_of(logits)


class Entropy(ByScore):
    """Prediction of maximum entropy (Shannon 1948; Dagan & Engelson 1995 for queries)."""

    name = "entropy"
    reason = "the classes are evenly likely"
    sampler_type = EntropySampler

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """``-sum_k p_k log p_k`` in nats."""
        return entropy(self.predict_rows(data, rows).probabilities)
