"""What leaves the house: modules that take stored pixels and answer in numbers a scorer can rank.

Exporters see these as plain modules. Inputs are uint8 ``(N, H, W, C)``; normalization is inside.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.dcgan import DcganGenerator
from dgaal_cli.networks.decoder import Decoder
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import denormalize, normalize

MIN_SPREAD = 1e-3
"""Numbers that vary less over a pool say nothing, and dividing by less would only enlarge the
rounding in which two runtimes differ; relative to the mean where that is larger than one."""


class DeployedClassifier(nn.Module):
    """Task model: images to logits ``(N, K)`` and probabilities ``(N, K)``."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify uint8 images ``(N, H, W, C)``."""
        logits, _ = self.classifier(normalize(images))
        return logits, torch.softmax(logits, dim=1)


class DeployedGenerator(nn.Module):
    """G2 after G1: parents and noise factors ``(N, M)`` to synthesized uint8 images."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Redraw uint8 parents ``(N, H, W, C)``."""
        feature_map, _ = self.encoder(normalize(images))
        return denormalize(self.decoder(feature_map, noise))


class DeployedPrior(nn.Module):
    """A DCGAN's generator: standard normal latents ``(N, Z)`` to uint8 images.

    It was trained on values uniform in [-1, 1], which the error function makes of normal ones: so
    whoever draws needs to know one prior only, and smaller latents give more typical images.
    """

    def __init__(self, generator: DcganGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor) -> Tensor:
        """Draw images."""
        return denormalize(self.generator(torch.erf(latents * 0.5**0.5)))


class AdversarialSampler(nn.Module):
    """Encoder and latent discriminators, with the task model beside them.

    The score mixes two standardized numbers, so that it never depends on an image's neighbors:
    ``share * (u - mean_u) / scale_u + (1 - share) * (m - mean_m) / scale_m`` with u the mean of the
    discriminators' logits of "unlabeled" and m one minus T's margin.

    Args:
        encoder: G1.
        discriminators: The folds of D1; their logits are averaged.
        classifier: T, or None before there were labels of two classes.
        share: Weight of D1 in the score, 0..1.
        statistics: Mean and standard deviation of u, then of m, over the training pool.
            Deviations below ``MIN_SPREAD`` count as that.
    """

    statistics: Tensor

    def __init__(
        self,
        encoder: Encoder,
        discriminators: Sequence[LatentDiscriminator],
        classifier: Classifier,
        *,
        share: float,
        statistics: Sequence[float],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.discriminators = nn.ModuleList(discriminators)
        self.classifier = classifier
        self.share = share
        mean_u, spread_u, mean_m, spread_m = statistics
        scales = (mean_u, _scale(mean_u, spread_u), mean_m, _scale(mean_m, spread_m))
        self.register_buffer("statistics", torch.tensor(scales, dtype=torch.float32))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, P(unlabeled) ``(N,)``, probabilities ``(N, K)``, latents z ``(N, Z)``.
        """
        x = normalize(images)
        _, z = self.encoder(x)
        votes = torch.stack([discriminator(z) for discriminator in self.discriminators])
        unlabeled = -votes.mean(0)
        logits, _ = self.classifier(x)
        mean_u, scale_u, mean_m, scale_m = self.statistics.unbind()
        score = (
            self.share * (unlabeled - mean_u) / scale_u
            + (1.0 - self.share) * (closeness(logits) - mean_m) / scale_m
        )
        return score, torch.sigmoid(unlabeled), torch.softmax(logits, dim=1), z


class MarginSampler(nn.Module):
    """The task model alone: images near a class boundary score high."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, probabilities ``(N, K)``, penultimate features h ``(N, F)``.
        """
        logits, features = self.classifier(normalize(images))
        return closeness(logits), torch.softmax(logits, dim=1), features


def _scale(mean: float, spread: float) -> float:
    return max(spread, MIN_SPREAD * max(1.0, abs(mean)))


def closeness(logits: Tensor) -> Tensor:
    """How near the boundary: one minus the margin p1 - p2, shape ``(N,)``, for logits ``(N, K)``.

    Written as p2 plus all that is not p1, which stays exact where p1 rounds to one: confident
    images keep an order instead of tying.
    """
    descending = torch.sort(torch.softmax(logits, dim=1), dim=1, descending=True).values
    return descending[:, 1] + descending[:, 1:].sum(1)
