"""An encoder with frozen weights; it needs one file and one registry line."""

import hashlib
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.config.schema import Config, EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.data.images import Pixels, resize
from dgaal_cli.encoders.base import Features
from dgaal_cli.encoders.registry import Kind
from dgaal_cli.networks.classifier import Classifier, HeadFactory
from dgaal_cli.networks.feature_model import FeatureModel

LINE = {"projection": Kind("small_encoders:build", sides=(8, 12), packages=("torch",))}


def build(settings: EncoderConfig, *, image_size: int, channels: int) -> "ProjectionEncoder":
    """Build the encoder; other texts after the colon give other weights."""
    argument = settings.source.partition(":")[2]
    return ProjectionEncoder(argument, image_size=image_size, channels=channels)


class ProjectionEncoder:
    """Random projections of 4 x 4 patches as the map, flattened as the vector."""

    width: ClassVar[int] = 6
    side: ClassVar[int] = 4

    def __init__(self, argument: str = "", *, image_size: int, channels: int) -> None:
        self.name = f"projection:{argument}"
        self.image_size, self.channels = image_size, channels
        self.framing, self.input_size = Framing(image_size), image_size
        generator = torch.Generator().manual_seed(len(argument))
        shape = (self.width, channels, self.side, self.side)
        self.weight = torch.randn(shape, generator=generator) / self.side

    @property
    def digest(self) -> str:
        own = hashlib.sha256(self.weight.numpy().tobytes())
        own.update(repr((self.image_size, self.channels)).encode())
        return own.hexdigest()

    @property
    def dimension(self) -> int:
        return self.width * (self.image_size // self.side) ** 2

    def fit(self, image: Pixels) -> Pixels:
        return resize(image, size=self.image_size, channels=self.channels)

    def encode(self, images: Pixels) -> np.ndarray:
        return self.features(torch.from_numpy(images)).vector.numpy()

    def features(self, pixels: Tensor) -> Features:
        images = (pixels.permute(0, 3, 1, 2).float() / 255 - 0.4) / 0.2
        weight = self.weight.to(pixels.device)
        found = torch.nn.functional.conv2d(images, weight, stride=self.side)
        return Features(vector=found.flatten(1), map=found)

    def task_model(self, config: Config, head: HeadFactory) -> Classifier:
        return FeatureModel(head, width=self.dimension)
