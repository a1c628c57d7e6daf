"""BADGE: ask images with long gradients in different directions."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods.base import Ranking, random_ranking, ranking_of
from dgaal_cli.methods.by_score import COLD_START
from dgaal_cli.methods.diversity import gradient_seeding
from dgaal_cli.methods.task_model_only import ClassifierSampler, TaskModelOnly
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.seeds import numpy_generator


class GradientSampler(ClassifierSampler):
    """Length of BADGE's hallucinated gradient, the score of its first pick."""

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """``|(p - e_argmax) x h|``."""
        probabilities = torch.softmax(logits, dim=1)
        others = torch.sort(probabilities, dim=1, descending=True).values[:, 1:]
        residual = others.sum(1) ** 2 + (others**2).sum(1)
        return (residual * (features**2).sum(1)).sqrt()


class Badge(TaskModelOnly):
    """Batch active learning by diverse gradient embeddings (Ash et al. 2020, Algorithm 1).

    ``g(x) = (p - e_argmax) x h(x)``, k-means++ over g. In Algorithm 1,
    k-means++ draws the first center at random; here, as in the authors' code, it is the longest g.
    T is trained as in every other method, not until its training accuracy exceeds 99 %.
    """

    name = "badge"
    sampler_type = GradientSampler

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Seed the query in gradient space; score by the gradient's length."""
        if not data.can_learn:
            return random_ranking(data, count, seed, strategy=COLD_START)
        rows = data.unlabeled_rows
        prediction = predict(self.classifier, data.inputs[rows], data.device)
        probabilities = prediction.image_probabilities
        lengths = gradient_lengths(probabilities, prediction.features)
        positions: list[int] = []
        if count and len(rows):
            positions = gradient_seeding(
                probabilities,
                prediction.features,
                min(count, len(rows)),
                first=int(lengths.argmax()),
                generator=numpy_generator(seed, "badge"),
            )
        return ranking_of(
            rows,
            lengths,
            rows[positions],
            strategy=self.name,
            reason="would change the model, unlike the other picks",
        )


def gradient_lengths(probabilities: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return ``|(p - e_argmax) x h|`` of ``(N, K)`` and ``(N, F)``, shape ``(N,)``."""
    others = np.sort(probabilities, axis=1)[:, :-1]
    residual = others.sum(1) ** 2 + (others**2).sum(1)
    return np.sqrt(residual * (features.astype(np.float64) ** 2).sum(1))
