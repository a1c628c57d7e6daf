"""Ask images on which T with dropout is uncertain: DBAL's entropy and BALD.

Gal, Islam & Ghahramani 2017, "Deep Bayesian active learning with image data". Choices here:

- Dropout is applied to the penultimate features only, so M passes need one pass of the body and M
  of the head. BatchNorm is in eval mode, or a score would depend on the other images of a batch.
- One mask serves all images of a pass: a pass is then one draw of a model, as in BatchBALD (Kirsch,
  van Amersfoort & Gal 2019), and a score depends on its image alone.
- The rate is that of T's training, ``classifier.dropout``. If that is 0, 0.5 is used for scoring
  only, so that T is the same for every method; the paper trains with dropout.
"""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods.by_score import ByScore
from dgaal_cli.methods.informativeness import entropy
from dgaal_cli.networks.classifier import Classifier, linear_head
from dgaal_cli.networks.deploy import Deployed, Sampler, Scored, entropy_of
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.classifier import dropout_mask
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.seeding import torch_generator

SCORING_RATE = 0.5


class DropoutMethod(ByScore):
    """Base for DBAL and BALD: masks and passes."""

    is_mutual: bool

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """Entropy of the mean, less the mean entropy of the passes for BALD."""
        features = self.predict_rows(data, rows).features
        mean, within = dropout_passes(self.classifier, features, self._masks(seed))
        return np.maximum(entropy(mean) - within, 0.0) if self.is_mutual else entropy(mean)

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and a sampler with the masks of the round."""
        sampler = DropoutSampler(self.classifier, self._masks(data.seed), is_mutual=self.is_mutual)
        return [*super().deploy(data), sampler]

    def _masks(self, seed: int) -> Tensor:
        rate = self.config.classifier.dropout or SCORING_RATE
        shape = torch.Size([self.config.acquisition.passes, self.classifier.feature_width])
        return dropout_mask(shape, rate, torch_generator(seed, "dropout"))


class Dbal(DropoutMethod):
    """Entropy of the mean prediction (Gal et al. 2017, "max entropy")."""

    name = "dbal"
    reason = "models with dropout are unsure"
    is_mutual = False


class Bald(DropoutMethod):
    """Mutual information of prediction and model (Houlsby et al. 2011; Gal et al. 2017)."""

    name = "bald"
    reason = "models with dropout disagree"
    is_mutual = True


def dropout_passes(
    network: Classifier, features: np.ndarray, masks: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Classify penultimate features ``(N, F)`` under each of the masks ``(M, F)`` by T's head.

    Passes are summed one by one, so that all M of a large pool need not fit in memory.

    Returns:
        Mean probabilities ``mean_m p_m``, float64 ``(N, K)``, and the mean entropy ``mean_m
        H(p_m)`` in nats, ``(N,)``. BALD is the entropy of the first minus the second.
    """
    head = linear_head(network)
    weight = head.weight.detach().double().cpu().numpy()
    bias = head.bias.detach().double().cpu().numpy()
    h = features.astype(np.float64)
    mean = np.zeros((len(h), len(bias)))
    within = np.zeros(len(h))
    for mask in masks.double().numpy():
        logits = (h * mask) @ weight.T + bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        probabilities = powers / powers.sum(1, keepdims=True)
        mean += probabilities / len(masks)
        within += entropy(probabilities) / len(masks)
    return mean, within


class DropoutSampler(Sampler):
    """Monte Carlo dropout with fixed masks, so that an exported score is reproducible.

    Args:
        masks: ``(M, F)`` factors of the penultimate features.
        is_mutual: Whether to rank by BALD's mutual information instead of the entropy of the mean.
    """

    masks: Tensor

    def __init__(self, classifier: Classifier, masks: Tensor, *, is_mutual: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.is_mutual = is_mutual
        self.register_buffer("masks", masks)

    def forward(self, images: Tensor) -> Scored:
        """Score images; the probabilities are the mean over the masks."""
        _, features = self.classifier(normalize(images))
        logits = self.classifier.head(features[None] * self.masks[:, None])  # (M, N, K)
        probabilities = torch.softmax(logits, dim=-1).mean(0)
        score = -(probabilities * probabilities.clamp_min(1e-30).log()).sum(-1)
        if self.is_mutual:
            score = score - entropy_of(logits).mean(0)
        return score, probabilities, features
