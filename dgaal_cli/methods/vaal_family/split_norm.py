"""BatchNorm over several stacked batches, each with its own statistics.

Two pools that go through a network one after the other are normalized separately. Stacking them
saves calls, but plain BatchNorm would then mix their statistics, which are a signal for a
discriminator of pools. With split statistics the stacked call equals the separate ones, running
statistics included.
"""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SplitBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d that treats its batch as ``groups`` equal batches, in order.

    Its state is that of ``BatchNorm2d``, and so is its result with one group or in eval mode.
    """

    groups = 1

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that BatchNorm2d gives it
        """Normalize ``(groups * B, C, H, W)``; running statistics are updated group by group."""
        if self.groups == 1 or not self.training:
            return super().forward(input)
        normalize = super().forward
        return torch.cat([normalize(part) for part in input.chunk(self.groups)])


@contextmanager
def stacked(module: nn.Module, groups: int) -> Generator[None]:
    """Within the block, ``module`` treats its batches as ``groups`` stacked ones."""
    norms = [m for m in module.modules() if isinstance(m, SplitBatchNorm2d)]
    before = [norm.groups for norm in norms]
    for norm in norms:
        norm.groups = groups
    try:
        yield
    finally:
        for norm, old in zip(norms, before, strict=True):
            norm.groups = old
