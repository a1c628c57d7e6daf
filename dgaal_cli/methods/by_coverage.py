"""Base of methods that choose by the features of an encoder of the pool, without T."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from dgaal_cli.config.schema import Config
from dgaal_cli.features.standardized import UnitRows
from dgaal_cli.methods.adversarial_encoder.decoder import Decoder
from dgaal_cli.methods.adversarial_encoder.games import Games
from dgaal_cli.methods.adversarial_encoder.image_discriminator import ImageDiscriminator
from dgaal_cli.methods.base import Ranking, SyntheticBatch, TaskShape, by_identity, ranking_of
from dgaal_cli.methods.clustering import Chosen
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import encode_rows, evaluating
from dgaal_cli.training.phase import Phase

CELLS = 2
"""Side of the grid that the encoder's 4 x 4 map is averaged to."""


class CoverageMethod(TaskModelOnly):
    """Base for methods that choose rows by the features of an encoder of the pool.

    No sampler is exported: being typical or uncovered is a property of a pool, not of one image.
    """

    name: str
    reason: str

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape)
        self.games = None if shape.width else self._games(config, shape)
        if self.games is not None:
            self.modules |= self.games.modules
            self.carried = frozenset(self.games.modules)

    def _games(self, config: Config, shape: TaskShape) -> Games:
        net = config.network
        sizes = {"channels": shape.channels, "image_size": shape.image_size}
        encoder = Encoder(**sizes, width=net.width, latent=net.latent)
        decoder = Decoder(
            **sizes, map_channels=encoder.map_channels, residual_blocks=net.residual_blocks
        )
        critic = ImageDiscriminator(**sizes, width=net.critic_width)
        idle = LatentDiscriminator(latent=net.latent, hidden=net.latent_hidden)
        return Games(encoder, decoder, idle, critic)

    def learn(self, data: RoundData) -> list[Phase]:
        """On pixels the encoder's image game before round 0; then T on the current labels."""
        phases = super().learn(data)
        if data.is_first and self.games is not None:  # features need no game
            pool, config = data.without_labels(), self.config
            phases.insert(0, self.games.phase(config.pretrain, config.generation, pool))
        return phases

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Choose in feature space, without T."""
        ordered = by_identity(data, data.unlabeled_rows)
        unlabeled = self.features(data, ordered)
        labeled = self.features(data, by_identity(data, data.labeled_rows))
        positions, values = self.choose(
            unlabeled, labeled, min(count, len(ordered)), classes=len(data.class_names), seed=seed
        )
        return ranking_of(
            ordered, values, ordered[positions], strategy=self.name, reason=self.reason
        )

    def sample_images(self, data: RoundData) -> SyntheticBatch | None:
        """Copies of pool images by the decoder that the encoder is trained with."""
        return None if self.games is None else self.games.sample_images(data)

    def features(self, data: RoundData, rows: np.ndarray) -> np.ndarray:
        """Encode pool rows to unit vectors, float32 ``(N, D)`` or ``(N, 4 M)``.

        The features are scaled to length one, as in the papers. G1's map is averaged to 2 x 2 cells
        first.
        """
        if data.features is not None:
            return UnitRows(data.features)[rows]
        assert self.games is not None
        encoder = self.games.encoder

        def encode(images: Tensor) -> Tensor:
            cells = F.adaptive_avg_pool2d(encoder(images)[0], CELLS)
            return F.normalize(cells.flatten(1), dim=1)

        with evaluating(encoder):
            return encode_rows(encode, data.pixels[rows], data.device).cpu().numpy()

    def choose(
        self, unlabeled: np.ndarray, labeled: np.ndarray, count: int, *, classes: int, seed: int
    ) -> Chosen:
        """Pick ``count`` of ``unlabeled`` ``(U, Z)`` given ``labeled`` ``(L, Z)``."""
        raise NotImplementedError
