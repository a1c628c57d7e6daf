"""VAAL with corrected scales, and its ablations by ``vaal.representation``."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.labeled_unlabeled import TITLE
from dgaal_cli.methods.vaal_family.draws import PoolDraws, PoolRows
from dgaal_cli.methods.vaal_family.game import GameRules
from dgaal_cli.methods.vaal_family.method import PoolSampling, vae_for
from dgaal_cli.methods.vaal_family.vae import ImagePoolDiscriminator, PoolDiscriminator, Vae
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Sampler, UnlabeledSampler
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import batches, evaluating
from dgaal_cli.training.optimizers import adam, take_step
from dgaal_cli.training.phase import Losses, Phase

FROZEN_STEPS = 200
"""Steps of D on a frozen encoder if ``vaal.settle_steps`` is 0."""


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


class Vaal(PoolSampling):
    """VAAL as its paper describes it: an ELBO for each image, logits, both pools in one batch.

    In addition, D steps on the same forward pass as the VAE and is refitted on the finished
    encoder. Scoring runs only the encoder, in eval mode, and ranks by logits.
    """

    name = "vaal"

    def __init__(self, config: Config, shape: TaskShape) -> None:
        net, kind = config.network, config.vaal.representation
        discriminator: nn.Module | None = PoolDiscriminator(
            inputs=net.latent, hidden=net.latent_hidden
        )
        if kind == "image":
            discriminator = _image_discriminator(config, shape)
        elif kind == "none":
            discriminator = None
        super().__init__(
            config,
            shape,
            vae=None if kind == "image" else vae_for(config, shape, latent=net.latent),
            discriminator=discriminator,
        )
        self.kind = kind

    def rules(self, *, is_game: bool) -> GameRules:
        """Without the adversary unless the representation is "vae"."""
        return super().rules(is_game=is_game and self.kind == "vae")

    def pool_phases(self, data: RoundData) -> list[Phase]:
        """Phases of the configured representation."""
        config, rows = self.config.vaal, self.rows_of(data)
        if self.kind == "image":
            if not rows.has_both:
                return []
            return [self._image_phase(data, rows)]
        if self.kind == "none":
            return [self.game_phase(data, rows)]
        if self.kind == "frozen-vae" and rows.has_both:
            steps = config.settle_steps or FROZEN_STEPS
            return [
                self.game_phase(data, rows),
                self.refit_discriminator_phase(data, rows, steps=steps),
            ]
        return super().pool_phases(data)

    def _image_phase(self, data: RoundData, rows: PoolRows) -> Phase:
        """D on images, both pools in one batch; there is no autoencoder."""
        network = self.discriminator
        assert network is not None
        draws = PoolDraws(data, rows, self.config, latent=0, is_game=True)
        optimizer = adam(network.parameters(), lr=self.config.vaal.lr)

        def step(number: int, generator: Generator) -> Losses:
            batch = draws.at(number, generator)
            loss = F.binary_cross_entropy_with_logits(network(batch.images), batch.is_labeled)
            take_step(optimizer, loss)
            return {"discriminator": loss}

        return Phase(
            name="pools",
            title=TITLE,
            steps=self.steps(data),
            networks={"discriminator": network},
            optimizers={"discriminator": optimizer},
            step=step,
            last=draws.last,
        )

    def sampler(self, data: RoundData) -> Sampler:
        """Score by D, or by the distance to the labeled centroid if there is no D."""
        if self.kind == "image":
            assert self.discriminator is not None
            return ImageSampler(self.discriminator, self.classifier)
        assert self.vae is not None
        if self.discriminator is not None:
            return super().sampler(data)
        sampler = CentroidSampler(self.vae, self.classifier).to(data.device)
        labeled = data.inputs[data.labeled_rows]
        with evaluating(sampler):
            parts = [torch.stack(sampler.posterior(x)) for x in batches(labeled, data.device)]
        center = torch.cat(parts, 1).mean(1)
        sampler.center_mean.copy_(center[0])
        sampler.center_deviation.copy_(center[1])
        return sampler


def _image_discriminator(config: Config, shape: TaskShape) -> nn.Module:
    """Build the D that sees images, or their features."""
    if shape.width:
        return PoolDiscriminator(inputs=shape.width, hidden=config.network.latent_hidden)
    return ImagePoolDiscriminator(
        channels=shape.channels, image_size=shape.image_size, width=config.vaal.width
    )
