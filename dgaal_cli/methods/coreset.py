"""Core-set selection by greedy k-center in T's features."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods.base import Ranking, random_ranking, ranking_of
from dgaal_cli.methods.by_score import COLD_START
from dgaal_cli.methods.k_center import k_center, nearest_distances
from dgaal_cli.methods.task_model_only import ClassifierSampler, TaskModelOnly
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Deployed
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData


class CoreSet(TaskModelOnly):
    """k-center greedy (Sener & Savarese 2018, Algorithm 1) on penultimate features, L2 distance.

    The paper's second form, which is robust to outliers and needs an integer program, is not
    included: it gains little in the paper's own figures. Labeled synthetic images are centers too.
    """

    name = "coreset"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Pick the farthest from all labeled and picked images; score by distance to labels."""
        if not data.can_learn:
            return random_ranking(data, count, seed, strategy=COLD_START)
        rows = data.unlabeled_rows
        prediction = predict(self.classifier, data.inputs[rows], data.device)
        centers = self._centers(data)
        positions = k_center(prediction.features, centers, min(count, len(rows)))
        return ranking_of(
            rows,
            nearest_distances(prediction.features, centers),
            rows[positions],
            strategy=self.name,
            reason="far from every labeled image",
        )

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and a sampler that ranks by distance to the current labeled images."""
        modules = super().deploy(data)
        if not data.can_learn:
            return modules
        centers = torch.from_numpy(self._centers(data))
        return [*modules, DistanceSampler(self.classifier, centers)]

    def _centers(self, data: RoundData) -> np.ndarray:
        drawn = data.synthetic.inputs[data.synthetic.is_labeled]
        return np.concatenate(
            [
                predict(self.classifier, data.inputs[data.labeled_rows], data.device).features,
                predict(self.classifier, drawn, data.device).features,
            ]
        )


class DistanceSampler(ClassifierSampler):
    """Distance of the penultimate features to the nearest center.

    Args:
        centers: ``(L, F)`` features of the labeled images.
    """

    centers: Tensor

    def __init__(self, classifier: Classifier, centers: Tensor) -> None:
        super().__init__(classifier)
        self.register_buffer("centers", centers)

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """Distance of the features to the nearest center."""
        mean = self.centers.mean(0)  # distances of centered points lose fewer digits
        own, theirs = features - mean, self.centers - mean
        squared = (theirs**2).sum(1) - 2.0 * own @ theirs.T  # of each row less its own |own|^2
        gaps = own - theirs[squared.argmin(1)]  # computed again: near 0 the product cancels
        return (gaps**2).sum(1).sqrt()
