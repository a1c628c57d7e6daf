"""Base of VAAL and its successors: the game's set-up, ranking, health, and export."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods import gauges
from dgaal_cli.methods.base import (
    MAX_SAMPLES,
    Ranking,
    SyntheticBatch,
    TaskShape,
    random_ranking,
    ranking_of_typical,
    synthetic_batch,
)
from dgaal_cli.methods.by_score import ByScore
from dgaal_cli.methods.clustering import typical_points
from dgaal_cli.methods.labeled_unlabeled import DiscriminatorTraining, TwoPools
from dgaal_cli.methods.vaal_family.draws import Extras, PoolDraws, PoolRows, iterations
from dgaal_cli.methods.vaal_family.game import (
    Game,
    GameRules,
    PoolGame,
    balanced_kappa,
    kl_divergence,
)
from dgaal_cli.methods.vaal_family.samplers import LatentSampler, PoolSampler
from dgaal_cli.methods.vaal_family.vae import FeatureVae, PoolDiscriminator, Vae
from dgaal_cli.networks.deploy import Deployed, Sampler
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData, spread_rows
from dgaal_cli.training.modes import batches, encode_rows, evaluating
from dgaal_cli.training.optimizers import adam
from dgaal_cli.training.phase import Losses, Phase
from dgaal_cli.training.stability import MAX_PROBE, stop_when_stable

SETTLE_LR = 1e-3
WEIGHT_DECAY = 1e-4


def latent_networks(
    config: Config,
    shape: TaskShape,
    *,
    latent: int | None = None,
    decoded: int | None = None,
    conditions: int = 0,
    layers: int = 2,
) -> tuple[Vae, PoolDiscriminator]:
    """Build a VAE and a D on its latents and conditions; other arguments as in their classes."""
    net = config.network
    latent = latent or net.latent
    vae = vae_for(config, shape, latent=latent, decoded=decoded, conditions=conditions)
    inputs = latent + conditions
    return vae, PoolDiscriminator(inputs=inputs, hidden=net.latent_hidden, layers=layers)


def vae_for(
    config: Config,
    shape: TaskShape,
    *,
    latent: int,
    decoded: int | None = None,
    conditions: int = 0,
) -> Vae:
    """Build a VAE of images, or of features in a workspace with a pretrained encoder."""
    if shape.width:
        return FeatureVae(
            width=shape.width,
            hidden=config.network.latent_hidden,
            latent=latent,
            decoded=decoded,
            conditions=conditions,
        )
    return Vae(
        channels=shape.channels,
        image_size=shape.image_size,
        width=config.vaal.width,
        latent=latent,
        decoded=decoded,
        conditions=conditions,
    )


class PoolSampling(ByScore):
    """T, a VAE and a discriminator D of labeled and unlabeled images; subclasses set the game up.

    Args:
        vae: The autoencoder, or None if D sees images.
        discriminator: D, or None if distances replace it.
    """

    reason = "unlike the labeled images"
    needs_boundary = False
    """Whether D is used only after two classes have labels."""
    can_stop_early = True
    """Whether ``vaal.stop_overlap`` applies."""

    def __init__(
        self, config: Config, shape: TaskShape, *, vae: Vae | None, discriminator: nn.Module | None
    ) -> None:
        super().__init__(config, shape)
        self.shape = shape
        self.vae = vae
        self.discriminator = discriminator
        if vae is not None:
            self.modules["vae"] = vae
        if discriminator is not None:
            self.modules["discriminator"] = discriminator

    def sampler(self, data: RoundData) -> Sampler:
        """Build the ``PoolSampler`` that scores images: D's negated logit on the mean."""
        assert self.vae is not None
        assert self.discriminator is not None
        return LatentSampler(self.vae, self.discriminator, self.classifier)

    def learn(self, data: RoundData) -> list[Phase]:
        """T on the current labels, then the game over both pools."""
        return [*super().learn(data), *self.pool_phases(data)]

    def pool_phases(self, data: RoundData) -> list[Phase]:
        """The game, then D alone on the finished encoder."""
        rows = self.rows_of(data)
        phases = [self.game_phase(data, rows)]
        if self.can_tell(data, rows) and self.config.vaal.settle_steps:
            phases.append(
                self.refit_discriminator_phase(data, rows, steps=self.config.vaal.settle_steps)
            )
        return phases

    def rows_of(self, data: RoundData) -> PoolRows:
        """Both pools without the images held out to measure D."""
        is_held_out = self._gauge_mask(data)
        labeled, unlabeled = data.labeled_rows, data.unlabeled_rows
        return PoolRows(
            labeled=torch.from_numpy(labeled[~is_held_out[labeled]]),
            unlabeled=torch.from_numpy(unlabeled[~is_held_out[unlabeled]]),
        )

    def can_tell(self, data: RoundData, rows: PoolRows) -> bool:
        """Whether this round has training data for D."""
        return rows.has_both and (data.can_learn or not self.needs_boundary)

    def rules(self, *, is_game: bool) -> GameRules:
        """Return the configured weights; without a game the VAE is trained alone."""
        config = self.config.vaal
        values = self.shape.width or self.shape.image_size**2 * self.shape.channels
        kappa = config.kappa or balanced_kappa(
            decoder_variance=config.decoder_variance, beta=config.beta, values=values
        )
        return GameRules(
            kappa=kappa,
            adversary_weight=config.adversary_weight if is_game else 0.0,
            vae_steps=config.vae_steps,
            discriminator_steps=config.discriminator_steps if is_game else 0,
        )

    def game_phase(self, data: RoundData, rows: PoolRows) -> Phase:
        """The VAE against D, or alone if one pool is empty, in the round's precision."""
        rules = self.rules(is_game=self.can_tell(data, rows))
        optimizers = self.optimizers()
        game = self.game(rules, optimizers)
        game.autocast = data.autocast
        latent = game.vae.latent
        draws = PoolDraws(data, rows, self.config, latent=latent, is_game=rules.is_game)

        def step(number: int, generator: Generator) -> Losses:
            first = number * rules.batches
            return game.step([draws.at(first + k, generator) for k in range(rules.batches)])

        phase = Phase(
            name="pools",
            title="learning the images, and which are labeled",
            steps=self.steps(data),
            networks=self.players(),
            optimizers=dict(optimizers),
            step=step,
            last=draws.last,
            prepare=lambda: self.prepare(data, draws.extras, is_game=rules.is_game),
            cost=3.0,
            epoch_steps=draws.epoch_steps,
            batch_key="vaal.batch",
        )
        if rules.is_game and self.can_stop_early:
            probe = spread_rows(data.unlabeled_rows, MAX_PROBE)
            overlap = self.config.vaal.stop_overlap
            stop_when_stable(phase, lambda: self.unlabeled_score(data, probe), overlap=overlap)
        return phase

    def game(self, rules: GameRules, optimizers: Mapping[str, torch.optim.Adam]) -> Game:
        """Build the iteration."""
        assert self.vae is not None
        classifier = self.modules.get("latent_classifier")
        return PoolGame(self.vae, self.discriminator, rules, optimizers, classifier=classifier)

    def prepare(self, data: RoundData, extras: Extras, *, is_game: bool) -> None:
        """Set ``extras`` after T is trained; here nothing."""

    def refit_discriminator_phase(self, data: RoundData, rows: PoolRows, *, steps: int) -> Phase:
        """Train D alone on the means of the finished encoder, which are what it scores.

        In the game the encoder changed, and its BatchNorm was in train mode.
        """
        network = self.discriminator
        assert network is not None

        def load() -> TwoPools:
            features, soft = self.seen_by_discriminator(data), self.targets(data)
            return TwoPools(
                features=features,
                labeled=rows.labeled,
                unlabeled=rows.unlabeled,
                targets=None if soft is None else soft.to(features.device),
                item_ids=data.item_ids,
            )

        return DiscriminatorTraining(
            network=network,
            optimizer=adam(network.parameters(), lr=SETTLE_LR, weight_decay=WEIGHT_DECAY),
            load=load,
            steps=steps,
            size=lambda _count: self.config.vaal.batch,
            metric="discriminator",
            is_joint=True,
        ).phase("settle")

    def seen_by_discriminator(self, data: RoundData) -> Tensor:
        """Return D's input for every pool row, ``(N, Z)``, with the encoder in eval mode."""
        assert self.vae is not None
        with evaluating(self.vae):
            return encode_rows(self.vae, data.inputs, data.device)

    def targets(self, data: RoundData) -> Tensor | None:
        """Return D's targets for every pool row, float ``(N,)``, or None for 1 and 0."""
        return None

    def steps(self, data: RoundData) -> int:
        """Iterations of the game."""
        return iterations(
            self.config.vaal, pool=int(data.is_usable.sum()), labeled=len(data.labeled_rows)
        )

    def players(self) -> dict[str, nn.Module]:
        """Networks of the game by name."""
        names = ("vae", "latent_classifier", "discriminator")
        return {name: m for name, m in self.modules.items() if name in names}

    def optimizers(self) -> dict[str, torch.optim.Adam]:
        """One Adam for each player; a classifier of latents belongs to the VAE's."""
        sides: dict[str, list[nn.Parameter]] = {}
        for name, module in self.players().items():
            side = "discriminator" if name == "discriminator" else "autoencoder"
            sides.setdefault(side, []).extend(module.parameters())
        return {
            side: adam(parameters, lr=self.config.vaal.lr) for side, parameters in sides.items()
        }

    def score(self, data: RoundData, rows: np.ndarray, seed: int) -> np.ndarray:
        """Return the sampler's scores of pool rows."""
        sampler = self.sampler(data).to(data.device)
        judge = cast("PoolSampler", sampler).judge
        with evaluating(sampler):
            scores = encode_rows(lambda x: judge(x)[0], data.inputs[rows], data.device)
        return scores.float().cpu().numpy()

    def health(self, data: RoundData) -> dict[str, float]:
        """Active units, KL divergence, reconstruction R2, and D's AUC on held-out images."""
        health: dict[str, float] = {}
        if self.vae is not None:
            health |= self._autoencoder_health(self.vae, data)
        if self.discriminator is None or not self.can_tell(data, self.rows_of(data)):
            return health
        is_held_out = self._gauge_mask(data)
        name = "discriminator_auc"
        if not is_held_out.any():
            is_held_out[:] = True
            name = "discriminator_auc_seen"
        unlabeled = data.unlabeled_rows[is_held_out[data.unlabeled_rows]]
        labeled = data.labeled_rows[is_held_out[data.labeled_rows]]
        scores = (self.unlabeled_score(data, rows) for rows in (unlabeled, labeled))
        return health | gauges.auc_metrics(name, *scores)

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and the sampler of this round's query.

        There is no sampler if only synthetic images have labels: D then has no labeled pool image.
        """
        modules = super().deploy(data)
        return [*modules, self.sampler(data)] if len(data.labeled_rows) else modules

    def unlabeled_score(self, data: RoundData, rows: np.ndarray) -> np.ndarray:
        """Return D's score of "unlabeled" for pool rows, ``(R,)``."""
        return self.score(data, rows, data.seed)

    def condition(self, images: Tensor) -> Tensor | None:
        """Return the decoder's input in addition to z for images ``(B, C, H, W)``; None here."""
        return None

    def sample_images(self, data: RoundData) -> SyntheticBatch | None:
        """Reconstructions of pool images, evenly spread; None on features."""
        if self.vae is None or self.shape.width:
            return None
        rows = spread_rows(np.arange(len(data.pixels)), MAX_SAMPLES)
        x = normalize(data.images(torch.from_numpy(rows)))
        with evaluating(self.vae):
            return synthetic_batch(self.vae.decode(self.vae(x), self.condition(x)), rows)

    def first_query(self, data: RoundData, count: int, seed: int) -> Ranking | None:
        """Rank typical images while one pool is empty."""
        if self.can_tell(data, self.rows_of(data)):
            return None
        rows = data.unlabeled_rows
        if self.vae is None or not len(rows):
            return random_ranking(data, count, seed, strategy="random (nothing to tell apart yet)")
        with evaluating(self.vae):
            z = encode_rows(self.vae, data.inputs[rows], data.device).cpu().numpy()
        positions = typical_points(z, count, seed=seed)
        return ranking_of_typical(rows, positions, why="nothing to tell apart yet")

    def _gauge_mask(self, data: RoundData) -> np.ndarray:
        return gauges.held_out_for_gauges(
            data.item_ids, self.held_out_share, number=data.number, labeled=len(data.labeled_rows)
        )

    @property
    def held_out_share(self) -> float:
        """Share of both pools that D is not trained on."""
        return self.config.vaal.held_out

    def _autoencoder_health(self, vae: Vae, data: RoundData) -> dict[str, float]:
        """Measure the VAE in eval mode on images spread evenly over the pool."""
        rows = spread_rows(np.flatnonzero(data.is_usable), gauges.MAX_ROWS)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        error = 0.0
        with evaluating(vae):
            for images in batches(data.inputs[rows], data.device):
                means, log_variances = vae.encode(images)
                redrawn = vae.decode(means, self.condition(images))
                error += float(((redrawn - images) ** 2).sum())
                parts.append((images, means, log_variances))
        x, mean, log_variance = (torch.cat(values) for values in zip(*parts, strict=True))
        return {
            "active_units": float((mean.var(0) > gauges.ACTIVE_VARIANCE).sum()),
            "latent_units": float(mean.shape[1]),
            "kl_per_image": float(kl_divergence(mean, log_variance).mean()),
            "reconstruction_r2": 1.0 - error / max(float(((x - x.mean(0)) ** 2).sum()), 1e-9),
        }
