"""Task model T on the features of a pretrained encoder: one head."""

from torch import Tensor, nn

from dgaal_cli.networks.classifier import Classifier, HeadFactory, Stages, linear_head


class FeatureModel(Classifier):
    """A head on standardized features ``(B, D)``, which are the penultimate features h as well.

    The encoder is not a part of T; features are computed once, before any round.

    Args:
        width: D.
    """

    def __init__(self, head: HeadFactory, *, width: int) -> None:
        super().__init__()
        self.feature_width = width
        self.stage_widths = (width,)
        self.head = head(width, self.stage_widths)
        self.initialize()

    def initialize(self) -> None:
        """Set all weights to zero; T's fit does not depend on them."""
        head = linear_head(self)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def stages(self, images: Tensor) -> Stages:
        """Predict features ``(B, D)``; they are the only stage, as a map of one pixel."""
        maps = [images[:, :, None, None]]
        return Stages(maps=maps, outputs=self.head(images, maps), features=images)
