"""VAAL as released, to measure the effect of its scales."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.vaal_family.game import Game, GameRules, ReleasedGame
from dgaal_cli.methods.vaal_family.method import PoolSampling, latent_networks
from dgaal_cli.methods.vaal_family.samplers import LatentSampler
from dgaal_cli.networks.deploy import Sampler
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase

VAE_STEPS = 2


class VaalReleased(PoolSampling):
    """sinhasam/vaal of 2020-02-21: KL summed over the batch, sigmoids, separate batches, 2 : 1.

    Its KL divergence is summed while its squared error is a mean, which amounts to a decoder
    variance of ``batch * values / 2``: the posterior collapses and the queries are close to random.

    Not copied on purpose: T is trained separately and in train mode (the released one stays in eval
    mode after its first step), images are scored in eval mode without mirroring (released: train
    mode, mirrored at random), and D's target has D's shape. Lengths and sizes come from ``[vaal]``;
    its ``cifar10-paper`` preset has the released ones.
    """

    name = "vaal-released"
    can_stop_early = False

    def __init__(self, config: Config, shape: TaskShape) -> None:
        vae, discriminator = latent_networks(config, shape)
        super().__init__(config, shape, vae=vae, discriminator=discriminator)

    @property
    def held_out_share(self) -> float:
        """0: health reports D's AUC on images that it was trained on."""
        return 0.0

    def pool_phases(self, data: RoundData) -> list[Phase]:
        """The game only."""
        return [self.game_phase(data, self.rows_of(data))]

    def rules(self, *, is_game: bool) -> GameRules:
        """The released counts, or a VAE alone if one pool is empty."""
        rules = super().rules(is_game=is_game)
        return replace(rules, vae_steps=VAE_STEPS, discriminator_steps=1) if is_game else rules

    def game(self, rules: GameRules, optimizers: Mapping[str, torch.optim.Adam]) -> Game:
        """The released iteration."""
        if not rules.is_game:
            return super().game(rules, optimizers)
        assert self.vae is not None
        return ReleasedGame(self.vae, self.discriminator, optimizers)

    def sampler(self, data: RoundData) -> Sampler:
        """One minus D's sigmoid."""
        assert self.vae is not None
        assert self.discriminator is not None
        return LatentSampler(self.vae, self.discriminator, self.classifier, is_squashed=True)
