"""Task model T on an encoder whose weights stay as they are: a head on its features."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dgaal_cli.encoders.base import Encoder
from dgaal_cli.networks.classifier import Classifier, HeadFactory, Stages, initialize_xavier
from dgaal_cli.networks.pixels import denormalize


class FeatureModel(Classifier):
    """The head learns; penultimate features are the encoder's vector, scaled to deviation one.

    The encoder is no module of T, so checkpoints hold the head alone.

    Args:
        encoder: Encodes stored pixels.
        head: Builds what lies on the features.
        map_channels: Channels of the encoder's map, 0 where it has none.
    """

    def __init__(self, encoder: Encoder, head: HeadFactory, *, map_channels: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        self.feature_width = encoder.dimension
        self.stage_widths = (map_channels,) if map_channels else ()
        self.head = head(self.feature_width, self.stage_widths)
        self.initialize()

    def initialize(self) -> None:
        """Draw the head's weights anew."""
        self.apply(initialize_xavier)

    def stages(self, images: Tensor) -> Stages:
        """Predict; the encoder's map is the only stage."""
        with torch.no_grad():
            found = self.encoder.features(denormalize(images))
        features = F.layer_norm(found.vector, (self.feature_width,))
        maps = [] if found.map is None else [found.map]
        return Stages(maps=maps, outputs=self.head(features, maps), features=features)
