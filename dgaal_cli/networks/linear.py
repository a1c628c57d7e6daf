"""The task model of GAAL's experiments: one hyperplane per class, on pixels or on features."""

from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier, HeadFactory, Stages, linear_head


class LinearMachine(Classifier):
    """A linear classifier of pixels; ``training.linear`` fits it as a support vector machine.

    The logits are decision values; their softmax is not a calibrated probability. The head must be
    one linear layer.
    """

    def __init__(self, *, channels: int, image_size: int, head: HeadFactory) -> None:
        super().__init__()
        self.feature_width = channels * image_size**2
        self.stage_widths = (channels,)
        self.head = head(self.feature_width, self.stage_widths)
        self.initialize()

    def initialize(self) -> None:
        """Set all weights to zero; every image is on every boundary until the machine is fitted."""
        head = linear_head(self)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def represent(self, images: Tensor) -> Tensor:
        """Return the features ``(B, F)``: pixels in [-1, 1], channel by channel."""
        return images.flatten(1)

    def stages(self, images: Tensor) -> Stages:
        """Predict; the images themselves are the only stage."""
        features = self.represent(images)
        return Stages(maps=[images], outputs=self.head(features), features=features)
