"""The two games of DGAAL before round 0: (G1, D1) over features, (G, D2) over images."""

import itertools

import torch
from torch import Generator, Tensor

from dgaal_cli.config.schema import GenerationConfig, PretrainConfig
from dgaal_cli.networks.decoder import Decoder, draw_noise
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.image_discriminator import ImageDiscriminator
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.losses import (
    critic_loss,
    discriminator_loss,
    encoder_game_loss,
    reconstruction_loss,
)
from dgaal_cli.training.phase import Losses, Phase, draw_rows

ADAM_BETAS = (0.5, 0.99)


class Games:
    """Networks and optimizers of the pretraining phase, and its step.

    Order of one step (Guo et al. 2021, Alg. 1): G1, D1, G, D2. The paper shares one loop and two
    learning rates; G1 has an optimizer in each game, as there.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        latent_discriminator: LatentDiscriminator,
        image_discriminator: ImageDiscriminator,
    ) -> None:
        self.encoder = encoder
        self.decoder = decoder
        self.latent_discriminator = latent_discriminator
        self.image_discriminator = image_discriminator

    def phase(self, config: PretrainConfig, generation: GenerationConfig, data: RoundData) -> Phase:
        """Build the phase for this round's pools.

        Without labels there is no feature game: D1 would have nothing to tell apart.
        """
        rows = torch.from_numpy(data.is_usable.nonzero()[0])
        labeled = torch.from_numpy(data.labeled_rows)
        unlabeled = torch.from_numpy(data.unlabeled_rows)
        has_both = len(labeled) > 0 and len(unlabeled) > 0

        def adam(parameters: itertools.chain[torch.nn.Parameter], lr: float) -> torch.optim.Adam:
            return torch.optim.Adam(list(parameters), lr=lr, betas=ADAM_BETAS)

        encoder_parameters = list(self.encoder.parameters())
        optimizers = {
            "latent_encoder": adam(itertools.chain(encoder_parameters), config.lr_latent),
            "latent_discriminator": adam(
                itertools.chain(self.latent_discriminator.parameters()), config.lr_latent
            ),
            "generator": adam(
                itertools.chain(encoder_parameters, self.decoder.parameters()), config.lr_image
            ),
            "image_discriminator": adam(
                itertools.chain(self.image_discriminator.parameters()), config.lr_image
            ),
        }

        def step(_step: int, generator: Generator) -> Losses:
            losses: dict[str, Tensor] = {}
            if has_both:
                x_l = data.images(draw_rows(labeled, config.batch, generator))
                x_u = data.images(draw_rows(unlabeled, config.batch, generator))
                losses |= self._feature_game(x_l, x_u, config, optimizers)
            x_r = normalize(data.images(draw_rows(rows, 2 * config.batch, generator)))
            noise = draw_noise(
                len(x_r),
                self.decoder.map_channels,
                half_width=generation.noise,
                generator=generator,
            ).to(data.device)
            losses |= self._image_game(x_r, noise, config, optimizers)
            return losses

        passes = config.epochs * len(rows) / (2 * config.batch)
        return Phase(
            name="pretrain",
            title="learning the pool",
            steps=max(config.min_steps, round(passes), 1),
            networks={
                "encoder": self.encoder,
                "decoder": self.decoder,
                "latent_discriminator": self.latent_discriminator,
                "image_discriminator": self.image_discriminator,
            },
            optimizers=dict(optimizers),
            step=step,
            cost=5.0,
        )

    def _feature_game(
        self,
        labeled: Tensor,
        unlabeled: Tensor,
        config: PretrainConfig,
        optimizers: dict[str, torch.optim.Adam],
    ) -> Losses:
        """G1 and D1 step (eq. 4); both pools share one batch, so BatchNorm tells no pool."""
        _, z = self.encoder(normalize(torch.cat([labeled, unlabeled])))
        z_l, z_u = z[: len(labeled)], z[len(labeled) :]

        self.latent_discriminator.requires_grad_(requires_grad=False)
        game = encoder_game_loss(self.latent_discriminator(z_l), self.latent_discriminator(z_u))
        optimizers["latent_encoder"].zero_grad(set_to_none=True)
        (config.pool_weight * game).backward()
        optimizers["latent_encoder"].step()

        self.latent_discriminator.requires_grad_(requires_grad=True)
        z_l, z_u = z_l.detach(), z_u.detach()
        verdict = discriminator_loss(self.latent_discriminator(z_l), self.latent_discriminator(z_u))
        optimizers["latent_discriminator"].zero_grad(set_to_none=True)
        verdict.backward()
        optimizers["latent_discriminator"].step()
        return {"encoder_game": game, "latent_discriminator": verdict}

    def _image_game(
        self,
        images: Tensor,
        noise: Tensor,
        config: PretrainConfig,
        optimizers: dict[str, torch.optim.Adam],
    ) -> Losses:
        """G and D2 each take a step (eq. 6 and 8)."""
        feature_map, _ = self.encoder(images)
        redrawn = self.decoder(feature_map, noise)

        self.image_discriminator.requires_grad_(requires_grad=False)
        error = reconstruction_loss(images, redrawn)
        realism = self.image_discriminator(redrawn).mean()
        optimizers["generator"].zero_grad(set_to_none=True)
        (error - config.adversarial_weight * realism).backward()
        optimizers["generator"].step()

        self.image_discriminator.requires_grad_(requires_grad=True)
        critic = critic_loss(
            self.image_discriminator(images), self.image_discriminator(redrawn.detach())
        )
        optimizers["image_discriminator"].zero_grad(set_to_none=True)
        critic.backward()
        optimizers["image_discriminator"].step()
        return {"reconstruction": error, "critic": critic}
