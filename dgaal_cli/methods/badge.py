"""Ask where the gradient would be long, and not twice in the same direction: BADGE."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Ranking, random_ranking
from dgaal_cli.methods.by_score import COLD_START
from dgaal_cli.methods.diversity import gradient_seeding
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Deployed, Sampler, Scored
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.seeding import numpy_generator


class Badge(TaskModelOnly):
    """Batch active learning by diverse gradient embeddings (Ash et al. 2020, Algorithm 1).

    ``g(x) = (p - e_argmax) x h(x)``, k-means++ over g. Algorithm 1 leaves the first center to
    k-means++, which draws it at random; as in the authors' code it is the longest g. T is trained
    as in every other method, not until its training accuracy passes 99 %.
    """

    name = "badge"

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Seed the query in gradient space; score by the gradient's length."""
        if not data.can_learn:
            return random_ranking(data, count, seed, strategy=COLD_START)
        rows = data.unlabeled_rows
        prediction = predict(self.classifier, data.pixels[rows], data.device)
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
        picks = [Row(int(rows[i])) for i in positions]
        return Ranking(
            rows=rows,
            scores=lengths.astype(np.float32),
            picks=picks,
            strategy=self.name,
            reasons=dict.fromkeys(picks, "would change the model, unlike the other picks"),
        )

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and a sampler that ranks by the gradient's length."""
        return [*super().deploy(data), GradientSampler(self.classifier)]


def gradient_lengths(probabilities: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return ``|(p - e_argmax) x h|`` of ``(N, K)`` and ``(N, F)``, shape ``(N,)``."""
    others = np.sort(probabilities, axis=1)[:, :-1]
    residual = others.sum(1) ** 2 + (others**2).sum(1)
    return np.sqrt(residual * (features.astype(np.float64) ** 2).sum(1))


class GradientSampler(Sampler):
    """Length of BADGE's hallucinated gradient, the score of its first pick."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Scored:
        """Score images."""
        logits, features = self.classifier(normalize(images))
        probabilities = torch.softmax(logits, dim=1)
        descending = torch.sort(probabilities, dim=1, descending=True).values
        others = descending[:, 1:]
        residual = others.sum(1) ** 2 + (others**2).sum(1)
        return (residual * (features**2).sum(1)).sqrt(), probabilities, features
