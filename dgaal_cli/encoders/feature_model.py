"""Task model T on a frozen encoder: a head on its features."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dgaal_cli.encoders.base import Encoder
from dgaal_cli.networks.classifier import Classifier, HeadFactory, Stages, initialize_xavier
from dgaal_cli.networks.pixels import denormalize


class FeatureModel(Classifier):
    """Only the head is trained; penultimate features are the encoder's vector, standardized.

    The encoder is not a module of T, so checkpoints hold only the head.

    Args:
        map_channels: Channels of the encoder's map, 0 without a map.
    """

    def __init__(self, encoder: Encoder, head: HeadFactory, *, map_channels: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        self.feature_width = encoder.dimension
        self.stage_widths = (map_channels,) if map_channels else ()
        self.head = head(self.feature_width, self.stage_widths)
        self.initialize()

    def initialize(self) -> None:
        """Initialize the head's weights."""
        self.apply(initialize_xavier)

    def stages(self, images: Tensor) -> Stages:
        """Predict; the encoder's map is the only stage."""
        with torch.no_grad():
            encoded = self.encoder.features(denormalize(images))
        features = F.layer_norm(encoded.vector, (self.feature_width,))
        maps = [] if encoded.map is None else [encoded.map]
        return Stages(maps=maps, outputs=self.head(features, maps), features=features)
