"""Task model ResNet-18 with the stem for small images."""

import itertools

from torch import Tensor, nn

from dgaal_cli.networks.blocks import ResidualBlock, conv_block
from dgaal_cli.networks.classifier import Classifier, HeadFactory, Stages, initialize_he


class ResNet18(Classifier):
    """ResNet-18 (He et al. 2016) whose stem is one 3 x 3 convolution without pooling.

    LL4AL, TA-VAAL and the fair re-evaluations use this stem at 32 x 32.

    Args:
        width: Channels of the first stage; 64 as published.
    """

    def __init__(self, *, channels: int, head: HeadFactory, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_block(channels, width))
        self.stage_widths = tuple(width * 2**depth for depth in range(4))
        stages: list[nn.Module] = []
        for before, after in itertools.pairwise((width, *self.stage_widths)):
            stride = 1 if before == after else 2
            first = ResidualBlock(before, after, stride=stride)
            stages.append(nn.Sequential(first, ResidualBlock(after, after)))
        self.body = nn.ModuleList(stages)
        self.feature_width = self.stage_widths[-1]
        self.head = head(self.feature_width, self.stage_widths)
        self.initialize()

    def initialize(self) -> None:
        """Initialize the weights: He for convolutions, PyTorch's default for the head."""
        for module in self.modules():
            initialize_he(module)
            if isinstance(module, nn.Linear):
                module.reset_parameters()

    def stages(self, images: Tensor) -> Stages:
        """Predict; the stages are the four of the paper."""
        maps: list[Tensor] = []
        x = self.stem(images)
        for stage in self.body:
            x = stage(x)
            maps.append(x)
        features = x.mean((2, 3))
        return Stages(maps=maps, outputs=self.head(features, maps), features=features)
