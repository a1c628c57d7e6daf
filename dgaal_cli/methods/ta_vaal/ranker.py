"""TA-VAAL's ranker, which orders images by T's loss, and the sampler that uses it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dgaal_cli.methods.vaal_family.samplers import LatentSampler
from dgaal_cli.methods.vaal_family.vae import Vae
from dgaal_cli.networks.classifier import Classifier


class Ranker(nn.Module):
    """Average each stage of T over its map, map it to 128 values, and all of them to one number.

    Args:
        stage_widths: Channels of T's stages.
        hidden: Width of each stage's layer.
    """

    def __init__(self, stage_widths: Sequence[int], *, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, hidden) for width in stage_widths])
        self.head = nn.Linear(hidden * len(stage_widths), 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return ranks ``(B,)`` before the sigmoid, for T's ``Stages.maps``."""
        seen = [
            torch.relu(layer(stage.mean((2, 3))))
            for layer, stage in zip(self.layers, maps, strict=True)
        ]
        return self.head(torch.cat(seen, 1)).squeeze(1)


class RankedLatentSampler(LatentSampler):
    """D on the encoder's mean and the rank of T's loss."""

    def __init__(
        self, vae: Vae, discriminator: nn.Module, classifier: Classifier, ranker: Ranker
    ) -> None:
        super().__init__(vae, discriminator, classifier)
        self.ranker = ranker

    def seen(self, images: Tensor, mean: Tensor) -> Tensor:
        """Append the rank in 0..1 to the mean."""
        rank = self.ranker(self.classifier.stages(images).maps)
        return torch.cat([mean, torch.sigmoid(rank)[:, None]], 1)
