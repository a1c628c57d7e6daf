"""DGAAL's export wrappers: the sampler (G1, D1 and the task model), and the generator."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dgaal_cli.methods.adversarial_encoder.decoder import Decoder
from dgaal_cli.methods.adversarial_encoder.linear_games import LinearEncoder
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import IMAGES, Generator, Input, UnlabeledSampler, closeness
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import denormalize, normalize

MIN_SPREAD = 1e-3
"""Minimum standard deviation, relative to the mean if the mean exceeds one. Dividing by less would
only magnify the rounding in which two engines differ."""


class AdversarialSampler(UnlabeledSampler):
    """Encoder, latent discriminators and the task model.

    The score mixes two standardized numbers and depends on its image alone:
    ``share * (u - mean_u) / scale_u + (1 - share) * (m - mean_m) / scale_m`` with u the mean of the
    discriminators' logits of "unlabeled" and m one minus T's margin.

    Args:
        discriminators: The folds of D1; their logits are averaged.
        share: Weight of D1 in the score, 0..1.
        statistics: Mean and standard deviation of u, then of m, over the training pool.
            Deviations are at least ``MIN_SPREAD``.
    """

    statistics: Tensor

    def __init__(
        self,
        encoder: Encoder | LinearEncoder,
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


class DeployedGenerator(Generator):
    """G2 after G1: parents and noise factors ``(N, M)`` to synthetic uint8 images."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.inputs = (
            IMAGES,
            Input(
                name="noise",
                width=decoder.map_channels,
                neutral=1.0,
                meaning="factor a channel, around 1; 1 redraws without noise",
            ),
        )

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Synthesize copies of uint8 parents ``(N, H, W, C)``."""
        feature_map, _ = self.encoder(normalize(images))
        return denormalize(self.decoder(feature_map, noise))


def _scale(mean: float, spread: float) -> float:
    return max(spread, MIN_SPREAD * max(1.0, abs(mean)))
