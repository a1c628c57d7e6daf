"""TA-VAAL's ranker: which of two images T has the larger loss on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ranker(nn.Module):
    """Each stage of T averaged over its map and mapped to 128, all of them to one number.

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
