"""Samplers of the VAAL family, as they are exported: encoder, discriminator, and T beside them.

``judge`` is what a query ranks by and takes normalized images; ``forward`` takes stored pixels and
adds what T says. Decoders stay at home.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.feature_critic import FeatureCritic
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.networks.ranker import Ranker
from dgaal_cli.networks.vae import Vae


class PoolSampler(Protocol):
    """What a query needs of a sampler."""

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and features ``(B, Z)`` of images ``(B, C, H, W)`` in [-1, 1]."""
        ...


class LatentSampler(nn.Module):
    """D on the encoder's mean: the surer it is of "unlabeled", the higher the score.

    The score is D's negated logit, which never saturates.

    Args:
        vae: Its encoder is taken, its decoder is not.
        discriminator: D, logits of P(labeled).
        classifier: T.
        ranker: Gives D the rank of T's loss beside the mean (TA-VAAL).
        is_squashed: Score by the sigmoid's output, as the released VAAL does, ties and all.
    """

    def __init__(
        self,
        vae: Vae,
        discriminator: nn.Module,
        classifier: Classifier,
        *,
        ranker: Ranker | None = None,
        is_squashed: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(vae.body, nn.Flatten(), vae.mean)
        self.discriminator = discriminator
        self.classifier = classifier
        self.ranker = ranker
        self.is_squashed = is_squashed

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and means ``(B, Z)``."""
        mean = self.encoder(images)
        seen = mean
        if self.ranker is not None:
            rank = self.ranker(self.classifier.stages(images).maps)
            seen = torch.cat([mean, torch.sigmoid(rank)[:, None]], 1)
        unlabeled = -self.discriminator(seen)
        return torch.sigmoid(unlabeled) if self.is_squashed else unlabeled, mean

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, P(unlabeled) ``(N,)``, probabilities ``(N, K)``, means ``(N, Z)``.
        """
        x = normalize(images)
        score, mean = self.judge(x)
        p_unlabeled = score if self.is_squashed else torch.sigmoid(score)
        logits, _ = self.classifier(x)
        return score, p_unlabeled, torch.softmax(logits, dim=1), mean


class ImageSampler(nn.Module):
    """D on images: VAAL without its autoencoder. Features are T's."""

    def __init__(self, discriminator: nn.Module, classifier: Classifier) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.classifier = classifier

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and T's penultimate features ``(B, F)``."""
        return -self.discriminator(images), self.classifier(images)[1]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, P(unlabeled) ``(N,)``, probabilities ``(N, K)``, features ``(N, F)``.
        """
        x = normalize(images)
        logits, features = self.classifier(x)
        score = -self.discriminator(x)
        return score, torch.sigmoid(score), torch.softmax(logits, dim=1), features


class CentroidSampler(nn.Module):
    """Distance to the labeled images' mean posterior: VAAL without its discriminator.

    The squared 2-Wasserstein distance of two diagonal Gaussians is the squared distance of their
    means plus that of their deviations. The centroid lies in buffers, so that it is exported.

    Args:
        vae: Its encoder is taken.
        classifier: T.
    """

    center_mean: Tensor
    center_deviation: Tensor

    def __init__(self, vae: Vae, classifier: Classifier) -> None:
        super().__init__()
        self.body = nn.Sequential(vae.body, nn.Flatten())
        self.mean = vae.mean
        self.log_variance = vae.log_variance
        self.classifier = classifier
        self.register_buffer("center_mean", torch.zeros(vae.latent))
        self.register_buffer("center_deviation", torch.ones(vae.latent))

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation, each ``(B, Z)``."""
        flat = self.body(images)
        return self.mean(flat), torch.exp(0.5 * self.log_variance(flat))

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return squared distances ``(B,)`` and means ``(B, Z)``."""
        mean, deviation = self.posterior(images)
        gap = (mean - self.center_mean) ** 2 + (deviation - self.center_deviation) ** 2
        return gap.sum(1), mean

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, probabilities ``(N, K)``, means ``(N, Z)``.
        """
        x = normalize(images)
        score, mean = self.judge(x)
        logits, _ = self.classifier(x)
        return score, torch.softmax(logits, dim=1), mean


class UniformCriticSampler(nn.Module):
    """WAAL's query rule: near-uniform predictions, and features of the unlabeled pool's kind.

    The score is ``critic_weight g(h) - (|log p|_2 + |log p|_1) / 2``.

    Args:
        classifier: T.
        critic: g on T's features.
        critic_weight: Of g; 10 as published.
    """

    def __init__(
        self, classifier: Classifier, critic: FeatureCritic, *, critic_weight: float
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.critic = critic
        self.critic_weight = critic_weight

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B,)`` and T's penultimate features ``(B, F)``."""
        logits, features = self.classifier(images)
        return self._score(logits, features), features

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score uint8 images ``(N, H, W, C)``.

        Returns:
            Score ``(N,)``, probabilities ``(N, K)``, features ``(N, F)``.
        """
        logits, features = self.classifier(normalize(images))
        return self._score(logits, features), torch.softmax(logits, dim=1), features

    def _score(self, logits: Tensor, features: Tensor) -> Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        sureness = 0.5 * log_p.square().sum(1).sqrt() + 0.5 * log_p.abs().sum(1)
        return self.critic_weight * self.critic(features) - sureness
