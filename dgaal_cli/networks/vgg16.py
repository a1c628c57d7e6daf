"""Task model VGG16 with BatchNorm, as VAAL's and DGAAL's experiments use it, at 32 x 32."""

import math

from torch import Tensor, nn

from dgaal_cli.networks.classifier import (
    Classifier,
    HeadFactory,
    ParameterGroup,
    Stages,
    initialize_he,
)

LAYOUT = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of each stage's convolutions (Simonyan & Zisserman 2015, D), in units of ``width``."""
COPIES = 49
"""The published head pools a 1 x 1 map to 7 x 7: its first layer gets 49 equal copies."""


class Vgg16(Classifier):
    """VGG16-BN with 4096-wide hidden layers and dropout, of 134 M parameters when published.

    A 32 x 32 image gives a 1 x 1 map, which the published network replicates 49 times before a
    25088 x 4096 layer. Here that layer is its exact sum over the copies, 512 x 4096: weights are
    drawn with the deviation of the sum, its rate is 49 times and its decay a 49th of the others'.
    This gives the same function after the same number of SGD steps with less than a fifth of the
    parameters. Smaller images skip halvings of a 1 x 1 map; maps of larger images are averaged.

    Args:
        image_size: Side in pixels, a power of two of at least 8.
        width: Channels of the first stage; 64 as published. Hidden layers are 64 times as wide.
    """

    def __init__(
        self,
        *,
        channels: int,
        image_size: int,
        head: HeadFactory,
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before, side = channels, image_size
        for depths in LAYOUT:
            layers: list[nn.Module] = []
            for depth in depths:
                conv = nn.Conv2d(before, depth * width, 3, padding=1)
                layers += [conv, nn.BatchNorm2d(depth * width), nn.ReLU()]
                before = depth * width
            if side > 1:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            stages.append(nn.Sequential(*layers))
        self.body = nn.ModuleList(stages)
        self.stage_widths = tuple(depths[-1] * width for depths in LAYOUT)
        self.feature_width = 64 * width
        self.collapsed = nn.Linear(before, self.feature_width)
        self.hidden = nn.Sequential(
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(self.feature_width, self.feature_width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.head = head(self.feature_width, self.stage_widths)
        self.initialize()

    def initialize(self) -> None:
        """Initialize the weights as torchvision does: He for convolutions, else N(0, 0.01).

        The collapsed layer sums 49 independent draws, so its deviation is 7 times as large.
        """
        for module in self.modules():
            initialize_he(module)
            if isinstance(module, nn.Linear):
                factor = math.sqrt(COPIES) if module is self.collapsed else 1
                nn.init.normal_(module.weight, std=0.01 * factor)
                nn.init.zeros_(module.bias)

    def stages(self, images: Tensor) -> Stages:
        """Predict; each halving of the map ends a stage."""
        maps: list[Tensor] = []
        x = images
        for stage in self.body:
            x = stage(x)
            maps.append(x)
        features = self.hidden(self.collapsed(x.mean((2, 3))))
        return Stages(maps=maps, outputs=self.head(features, maps), features=features)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the collapsed weight in its own group: one of its steps sums 49 equal steps."""
        name = "collapsed.weight"
        own = dict(self.named_parameters())
        weight = own.pop(name)
        return [
            ParameterGroup(parameters=list(own.values())),
            ParameterGroup(parameters=[weight], lr_factor=COPIES, decay_factor=1 / COPIES),
        ]
