"""Samplers of VAAL's ablations: D on images, or the distance to the labeled centroid."""

import torch
from torch import Tensor, nn

from dgaal_cli.methods.vaal_family.vae import Vae
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Sampler, UnlabeledSampler
from dgaal_cli.networks.pixels import normalize


class ImageSampler(UnlabeledSampler):
    """D on images: VAAL without its autoencoder; features are T's."""

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


class CentroidSampler(Sampler):
    """Distance to the labeled images' mean posterior: VAAL without its discriminator.

    The squared 2-Wasserstein distance of two diagonal Gaussians is the squared distance of their
    means plus that of their deviations. The centroid is in buffers, so that it is exported. Of the
    VAE only the encoder is used.
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
