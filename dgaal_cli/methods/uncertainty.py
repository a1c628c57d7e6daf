"""Ask where the task model hesitates: margin sampling."""

import numpy as np
from torch import nn

from dgaal_cli.methods.base import Ranking, can_learn_classes, select_top
from dgaal_cli.methods.random_sampling import random_ranking
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.networks.deploy import MarginSampler
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData


class Margin(TaskModelOnly):
    """Smallest gap between the two likeliest classes first (Scheffer, Decomain & Wrobel 2001)."""

    name = "margin"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Score by closeness to T's boundary; without labels of two classes, at random."""
        if not can_learn_classes(data):
            return random_ranking(data, count, seed, strategy="random (no labels of two classes)")
        rows = data.unlabeled_rows
        prediction = predict(self.classifier, data.pixels[rows], data.device)
        scores = boundary_closeness(prediction.probabilities).astype(np.float32)
        picks = select_top(scores, rows, count)
        return Ranking(
            rows=rows,
            scores=scores,
            picks=picks,
            strategy="margin",
            reasons=dict.fromkeys(picks, "near a class boundary"),
            prediction=prediction,
        )

    def deploy(self, data: RoundData) -> dict[str, nn.Module]:
        """The classifier, and a sampler that ranks by its margin."""
        return super().deploy(data) | {"sampler": MarginSampler(self.classifier)}


def boundary_closeness(probabilities: np.ndarray) -> np.ndarray:
    """Return one minus the margin p1 - p2 of ``(N, K)`` probabilities, shape ``(N,)``.

    Written as in ``networks.deploy.closeness``: p2 plus all that is not p1, exact near zero.
    """
    descending = -np.sort(-probabilities, axis=1)
    return descending[:, 1] + descending[:, 1:].sum(1)
