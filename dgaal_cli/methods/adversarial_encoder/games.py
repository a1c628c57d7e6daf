"""The two games of DGAAL before round 0: (G1, D1) over features, (G, D2) over images."""

from collections.abc import Mapping
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import GenerationConfig, PretrainConfig
from dgaal_cli.methods import gauges
from dgaal_cli.methods.adversarial_encoder.decoder import Decoder, draw_noise
from dgaal_cli.methods.adversarial_encoder.image_discriminator import ImageDiscriminator
from dgaal_cli.methods.adversarial_encoder.vicreg import Expander, vicreg_loss
from dgaal_cli.methods.base import MAX_SAMPLES, SyntheticBatch, synthetic_batch
from dgaal_cli.methods.labeled_unlabeled import discriminator_loss
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData, spread_rows
from dgaal_cli.training.device import to_device
from dgaal_cli.training.distortion import distort
from dgaal_cli.training.modes import batches, encode_rows, evaluating
from dgaal_cli.training.optimizers import adam, take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows
from dgaal_cli.training.precision import Autocast, widen
from dgaal_cli.training.stability import MAX_PROBE, stop_when_stable

ADAM_BETAS = (0.5, 0.99)

Optimizers = Mapping[str, torch.optim.Adam]


class Games:
    """Networks and optimizers of the pretraining phase, and its step.

    Guo et al. 2021, Alg. 1 alternates G1, D1, G, D2 in one loop; G1 has an optimizer in each game,
    as in the paper. Each game here starts with its discriminator. The generator networks do not
    change in between, so one forward pass serves both players, and each plays against the other's
    newest weights. This is the same alternation with half the passes through encoder and decoder.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        latent_discriminator: LatentDiscriminator,
        image_discriminator: ImageDiscriminator,
        expander: Expander | None = None,
    ) -> None:
        self.encoder = encoder
        self.decoder = decoder
        self.latent_discriminator = latent_discriminator
        self.image_discriminator = image_discriminator
        self.expander = expander
        self.modules: dict[str, nn.Module] = {
            "encoder": encoder,
            "decoder": decoder,
            "latent_discriminator": latent_discriminator,
            "image_discriminator": image_discriminator,
        }
        if expander is not None:
            self.modules["expander"] = expander
        # The same sums; on CPUs a step of the image game takes 4 to 15 % less.
        for network in (encoder, decoder, image_discriminator):
            network.to(memory_format=torch.channels_last)

    def phase(self, config: PretrainConfig, generation: GenerationConfig, data: RoundData) -> Phase:
        """Build the phase for this round's pools.

        Without labels there is no feature game, because D1 has only one class.
        """
        rows = torch.from_numpy(data.is_usable.nonzero()[0])
        labeled = torch.from_numpy(data.labeled_rows)
        unlabeled = torch.from_numpy(data.unlabeled_rows)
        has_both = len(labeled) > 0 and len(unlabeled) > 0
        optimizers = self.optimizers(config)
        last = LastBatch()

        def step(_step: int, generator: Generator) -> Losses:
            losses: dict[str, Tensor] = {}
            sides: list[Tensor] = []
            if has_both:
                sides = [draw_rows(side, config.batch, generator) for side in (labeled, unlabeled)]
                x = normalize(data.images(torch.cat(sides)))
                losses |= self.feature_game(x, optimizers, autocast=data.autocast)
            picked = draw_rows(rows, 2 * config.batch, generator)
            last.note(data.item_ids, *sides, picked)
            x_r = normalize(data.images(picked))
            width, noise = self.decoder.map_channels, generation.noise
            factors = draw_noise(len(x_r), width, half_width=noise, generator=generator)
            factors = to_device(factors, data.device)
            losses |= self.image_game(x_r, factors, config, optimizers, autocast=data.autocast)
            if self.expander is not None:
                # Views keep their brightness: D1 could not detect missing dark images in latents
                # that ignore it.
                views = [distort(x_r, 1.0, generator, light=0.0) for _ in range(2)]
                with data.autocast():
                    _, z = self.encoder(torch.cat(views))
                losses["vicreg"] = vicreg_loss(*self.expander(widen(z)).chunk(2))
                take_step(optimizers["views"], losses["vicreg"])
            return losses

        unit = len(rows) if config.epoch_unit == "pool" else max(1, len(labeled))
        epoch = unit / (2 * config.batch)
        phase = Phase(
            name="pretrain",
            title="learning the pool",
            steps=max(config.min_steps, round(config.epochs * epoch), 1),
            epoch_steps=max(1, round(epoch)),
            batch_key="pretrain.batch",
            networks=self.modules,
            optimizers=dict(optimizers),
            step=step,
            last=last,
            cost=5.0 if self.expander is None else 7.0,
        )
        if has_both:
            probe = data.pixels[spread_rows(data.unlabeled_rows, MAX_PROBE)]
            stop_when_stable(phase, lambda: self._order(probe, data), overlap=config.stop_overlap)
        return phase

    def _order(self, probe: np.ndarray, data: RoundData) -> np.ndarray:
        """Return D1's current logits of "unlabeled"."""
        encoder, discriminator = self.encoder, self.latent_discriminator
        with evaluating(encoder, discriminator):
            logits = encode_rows(lambda x: discriminator(encoder(x)[1]), probe, data.device)
        return -logits.cpu().numpy()

    def sample_images(self, data: RoundData) -> SyntheticBatch:
        """Synthesize copies of pool images, evenly spread, without noise."""
        rows = spread_rows(np.arange(len(data.pixels)), MAX_SAMPLES)
        x = normalize(data.images(torch.from_numpy(rows)))
        noise = torch.ones(len(x), self.decoder.map_channels, device=data.device)
        with evaluating(self.encoder, self.decoder):
            return synthetic_batch(self.decoder(self.encoder(x)[0], noise), rows)

    def health(self, data: RoundData) -> dict[str, float]:
        """Measure encoder, decoder and critic on images spread evenly over the pool.

        Returns:
            ``active_units`` of ``latent_units``; ``reconstruction_r2``, which is zero for the
            mean image; ``redrawn_auc``, D2's AUC of pool images against their copies without noise,
            0.5 if D2 cannot separate them.
        """
        rows = spread_rows(np.flatnonzero(data.is_usable), gauges.MAX_ROWS)
        error = 0.0
        values: list[Tensor] = []
        latents: list[Tensor] = []
        real: list[Tensor] = []
        redrawn: list[Tensor] = []
        critic = self.image_discriminator
        with evaluating(self.encoder, self.decoder, critic):
            for x in batches(data.pixels[rows], data.device):
                feature_map, z = self.encoder(x)
                noise = torch.ones(len(x), self.decoder.map_channels, device=data.device)
                drawn = self.decoder(feature_map, noise)
                error += float(((drawn - x) ** 2).sum())
                real.append(critic(x).cpu())
                redrawn.append(critic(drawn).cpu())
                values.append(x.cpu())
                latents.append(z.cpu())
        x, variance = torch.cat(values), torch.cat(latents).var(0)
        total = float(((x - x.mean(0)) ** 2).sum())
        return {
            "active_units": float((variance > gauges.ACTIVE_VARIANCE).sum()),
            "latent_units": float(len(variance)),
            "reconstruction_r2": 1.0 - error / max(total, 1e-9),
            "redrawn_auc": gauges.auc(torch.cat(real).numpy(), torch.cat(redrawn).numpy()),
        }

    def optimizers(self, config: PretrainConfig) -> Optimizers:
        """Build the four optimizers, and VICReg's; the networks must be on their device already."""
        own = list(self.encoder.parameters())
        latent = self.latent_discriminator.parameters()
        both = [*own, *self.decoder.parameters()]
        image = self.image_discriminator.parameters()
        views: dict[str, torch.optim.Adam] = {}
        # Adam's steps do not scale with the loss, so the rate weights a game that has its own
        # optimizer.
        if self.expander is not None:
            rate = config.lr_latent * config.vicreg_weight
            views["views"] = adam([*own, *self.expander.parameters()], lr=rate)
        rate = config.lr_latent * config.pool_weight
        return views | {
            "latent_encoder": adam(own, lr=rate, betas=ADAM_BETAS),
            "latent_discriminator": adam(latent, lr=config.lr_latent, betas=ADAM_BETAS),
            "generator": adam(both, lr=config.lr_image, betas=ADAM_BETAS),
            "image_discriminator": adam(image, lr=config.lr_image, betas=ADAM_BETAS),
        }

    def feature_game(
        self, images: Tensor, optimizers: Optimizers, *, autocast: Autocast = nullcontext
    ) -> Losses:
        """D1, then G1 take a step (eq. 4).

        Args:
            images: ``(2B, C, H, W)``, labeled ones first; both pools share one batch, so BatchNorm
                does not reveal the pool.
            optimizers: As ``optimizers`` builds them.
            autocast: Precision of the encoder; D1 and the losses use the precision of the weights.
        """
        half = len(images) // 2
        with autocast():
            _, z = self.encoder(images)
        z = widen(z)

        self.latent_discriminator.requires_grad_(requires_grad=True)
        logits = self.latent_discriminator(z.detach())
        verdict = discriminator_loss(logits[:half], logits[half:])
        take_step(optimizers["latent_discriminator"], verdict)

        self.latent_discriminator.requires_grad_(requires_grad=False)
        logits = self.latent_discriminator(z)
        # Non-saturating, as the paper states: D1 should call both pools labeled.
        game = 0.5 * (F.softplus(-logits[:half]).mean() + F.softplus(-logits[half:]).mean())
        take_step(optimizers["latent_encoder"], game)
        return {"encoder_game": game, "latent_discriminator": verdict}

    def image_game(
        self,
        images: Tensor,
        noise: Tensor,
        config: PretrainConfig,
        optimizers: Optimizers,
        *,
        autocast: Autocast = nullcontext,
    ) -> Losses:
        """D2, then G take a step (eq. 6 and 8).

        D2 sees pool images and their copies in two passes; each is one power iteration of its
        spectral normalization.
        """
        critic_of = self.image_discriminator
        with autocast():
            feature_map, _ = self.encoder(images)
            redrawn = widen(self.decoder(feature_map, noise))

        critic_of.requires_grad_(requires_grad=True)
        with autocast():
            real, drawn = critic_of.body(images), critic_of.body(redrawn.detach())
        # The negative Wasserstein estimate; ``real`` is judged first, as its body was.
        value = critic_of.verdict(widen(real)).mean()
        critic = critic_of.verdict(widen(drawn)).mean() - value
        take_step(optimizers["image_discriminator"], critic)

        critic_of.requires_grad_(requires_grad=False)
        error = torch.mean((images - redrawn) ** 2)  # eq. 5
        with autocast():
            drawn = critic_of.body(redrawn)
        realism = critic_of.verdict(widen(drawn)).mean()
        take_step(optimizers["generator"], error - config.adversarial_weight * realism)
        return {"reconstruction": error, "critic": critic}
