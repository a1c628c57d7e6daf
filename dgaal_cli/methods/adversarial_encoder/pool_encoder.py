"""An encoder trained on the pool without labels, for methods that need features from the start.

TypiClust and ProbCover were published on SimCLR features. Here the features are those of DGAAL's
encoder G1 after its image game (adversarial reconstruction, Guo et al. 2021, eq. 5-8), the only
encoder that dgaal trains without labels. These features are weaker than SimCLR's on natural images,
so do not expect the gains that those papers report.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.adversarial_encoder.decoder import Decoder
from dgaal_cli.methods.adversarial_encoder.games import Games
from dgaal_cli.methods.adversarial_encoder.image_discriminator import ImageDiscriminator
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import batches, evaluating
from dgaal_cli.training.phase import Phase

CELLS = 2
"""Side of the grid that the encoder's 4 x 4 map is averaged to."""


class PoolEncoder:
    """G1 and the networks of its image game, trained before round 0 and kept."""

    def __init__(self, config: Config, shape: TaskShape) -> None:
        net = config.network
        self.config = config
        sizes = {"channels": shape.channels, "image_size": shape.image_size}
        self.encoder = Encoder(**sizes, width=net.width, latent=net.latent)
        decoder = Decoder(
            **sizes,
            map_channels=self.encoder.map_channels,
            residual_blocks=net.residual_blocks,
        )
        critic = ImageDiscriminator(**sizes, width=net.critic_width)
        idle = LatentDiscriminator(latent=net.latent, hidden=net.latent_hidden)
        self.games = Games(self.encoder, decoder, idle, critic)
        self.modules: dict[str, nn.Module] = {
            "encoder": self.encoder,
            "decoder": decoder,
            "latent_discriminator": idle,
            "image_discriminator": critic,
        }

    def phase(self, data: RoundData) -> Phase:
        """The image game over the whole pool; without labels there is no game over features."""
        return self.games.phase(self.config.pretrain, self.config.generation, data.without_labels())

    def features(self, pixels: np.ndarray, device: torch.device) -> np.ndarray:
        """Encode uint8 ``(N, S, S, C)`` to unit vectors, float32 ``(N, 4 M)``.

        The map is averaged to 2 x 2 cells and scaled to length one, as the papers' features are.
        """
        parts: list[np.ndarray] = []
        with evaluating(self.encoder):
            for images in batches(pixels, device):
                feature_map, _ = self.encoder(images)
                cells = F.adaptive_avg_pool2d(feature_map, CELLS).flatten(1)
                parts.append(F.normalize(cells, dim=1).cpu().numpy())
        width = self.encoder.map_channels * CELLS**2
        return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
