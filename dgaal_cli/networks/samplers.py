"""Samplers to export that rank by the task model: each returns score, probabilities, features.

Inputs are uint8 ``(N, H, W, C)``; a score depends on its own image alone, higher = ask first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import normalize

Scored = tuple[Tensor, Tensor, Tensor]


class ConfidenceSampler(nn.Module):
    """One minus the probability of the likeliest class."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Scored:
        """Score images."""
        logits, features = self.classifier(normalize(images))
        probabilities = torch.softmax(logits, dim=1)
        descending = torch.sort(probabilities, dim=1, descending=True).values
        return descending[:, 1:].sum(1), probabilities, features


class EntropySampler(nn.Module):
    """Entropy of the prediction, in nats."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Scored:
        """Score images."""
        logits, features = self.classifier(normalize(images))
        return entropy_of(logits), torch.softmax(logits, dim=1), features


class DropoutSampler(nn.Module):
    """Monte Carlo dropout with fixed masks, so that an exported score repeats.

    Args:
        classifier: T.
        masks: ``(M, F)`` factors of the penultimate features.
        is_mutual: Whether to rank by BALD's mutual information instead of the mean's entropy.
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


class CommitteeSampler(nn.Module):
    """Variation ratio of several task models, ties broken by their mean's lack of confidence."""

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Scored:
        """Score images; the features are the first member's."""
        x = normalize(images)
        answers = [member(x) for member in self.members]
        each = torch.stack([torch.softmax(logits, dim=1) for logits, _ in answers])  # (E, N, K)
        probabilities = each.mean(0)
        classes = torch.arange(probabilities.shape[1], device=x.device)
        votes = (each.argmax(2)[:, :, None] == classes).float().mean(0)  # (N, K)
        doubt = 1.0 - probabilities.amax(1)
        score = 1.0 - votes.amax(1) + 0.5 / len(self.members) * doubt
        return score, probabilities, answers[0][1]


class DistanceSampler(nn.Module):
    """Distance of the penultimate features to the nearest of given centers.

    Args:
        classifier: T.
        centers: ``(L, F)`` features of the labeled images.
    """

    centers: Tensor

    def __init__(self, classifier: Classifier, centers: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("centers", centers)

    def forward(self, images: Tensor) -> Scored:
        """Score images."""
        logits, features = self.classifier(normalize(images))
        mean = self.centers.mean(0)  # distances of centered points lose fewer digits
        own, theirs = features - mean, self.centers - mean
        squared = (theirs**2).sum(1) - 2.0 * own @ theirs.T  # of each row less its own |own|^2
        gaps = own - theirs[squared.argmin(1)]  # computed anew: near 0 the product cancels
        return (gaps**2).sum(1).sqrt(), torch.softmax(logits, dim=1), features


class GradientSampler(nn.Module):
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


class HyperplaneSampler(nn.Module):
    """Closeness to the boundary of a linear learner on pixels: 1 / (1 + distance).

    Args:
        classifier: T, for the probabilities and features beside the score.
        weights: ``(J, P)`` of the learner's J decision values.
        biases: ``(J,)``.
    """

    weights: Tensor
    biases: Tensor

    def __init__(self, classifier: Classifier, weights: Tensor, biases: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("weights", weights)
        self.register_buffer("biases", biases)

    def forward(self, images: Tensor) -> Scored:
        """Score images."""
        x = normalize(images)
        logits, features = self.classifier(x)
        values = x.flatten(1) @ self.weights.T + self.biases
        top = torch.sort(values, dim=1, descending=True).values
        gap = 0.5 * (top[:, 0] - top[:, 1])
        return 1.0 / (1.0 + gap), torch.softmax(logits, dim=1), features


class DiscriminativeSampler(nn.Module):
    """Logit of "unlabeled" that a perceptron gives the task model's features."""

    def __init__(self, classifier: Classifier, discriminator: LatentDiscriminator) -> None:
        super().__init__()
        self.classifier = classifier
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score images; the second output is P(unlabeled)."""
        logits, features = self.classifier(normalize(images))
        score = -self.discriminator(features)
        return score, torch.sigmoid(score), torch.softmax(logits, dim=1), features


def entropy_of(logits: Tensor) -> Tensor:
    """Entropy over the last axis, in nats."""
    log = torch.log_softmax(logits, dim=-1)
    return -(log.exp() * log).sum(-1)
