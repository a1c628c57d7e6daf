"""The task model of GAAL's experiments: one hyperplane a class, on pixels or on given features."""

from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier, Stages


class LinearMachine(Classifier):
    """A linear classifier of pixels; ``training.linear`` fits it as a support vector machine.

    The logits are decision values: their order is the machine's, the softmax over them is no
    calibrated probability.

    Args:
        channels: Channels C of the images.
        image_size: Side in pixels.
        classes: Number of classes K.
    """

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        self.feature_width = channels * image_size**2
        self.stage_widths = (channels,)
        self.head = nn.Linear(self.feature_width, classes)
        self.initialize()

    def initialize(self) -> None:
        """Every image lies on every boundary until the machine is fitted."""
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def represent(self, images: Tensor) -> Tensor:
        """What the hyperplanes see, ``(B, F)``: pixels in [-1, 1], channel by channel."""
        return images.flatten(1)

    def stages(self, images: Tensor) -> Stages:
        """Classify; the images themselves are the only stage."""
        features = self.represent(images)
        return Stages(maps=[images], logits=self.head(features), features=features)
