"""An encoder with frozen weights; it needs one file and one registry line."""

import hashlib
from typing import ClassVar

import torch
from torch import Tensor

from dgaal_cli.config.schema import Config
from dgaal_cli.encoders.base import Features, Normalization
from dgaal_cli.encoders.feature_model import FeatureModel
from dgaal_cli.networks.classifier import Classifier, HeadFactory

LINE = {"projection": "small_encoders:ProjectionEncoder"}


class ProjectionEncoder:
    """Random projections of 4 x 4 patches as the map, flattened as the vector."""

    sides: ClassVar[tuple[int, ...]] = (8, 12)
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    extra: ClassVar[str] = "train"
    width: ClassVar[int] = 6
    side: ClassVar[int] = 4

    def __init__(self, argument: str = "", *, image_size: int, channels: int) -> None:
        self.name = f"projection:{argument}"
        self.image_size, self.channels = image_size, channels
        self.normalization = Normalization(mean=(0.4,) * channels, deviation=(0.2,) * channels)
        generator = torch.Generator().manual_seed(len(argument))
        shape = (self.width, channels, self.side, self.side)
        self.weight = torch.randn(shape, generator=generator) / self.side

    @property
    def digest(self) -> str:
        own = hashlib.sha256(self.weight.numpy().tobytes())
        own.update(repr((self.image_size, self.channels, self.normalization)).encode())
        return own.hexdigest()

    @property
    def dimension(self) -> int:
        return self.width * (self.image_size // self.side) ** 2

    def features(self, pixels: Tensor) -> Features:
        images = pixels.permute(0, 3, 1, 2).float() / 255
        mean, deviation = (
            torch.tensor(values, device=pixels.device)[:, None, None]
            for values in (self.normalization.mean, self.normalization.deviation)
        )
        weight = self.weight.to(pixels.device)
        found = torch.nn.functional.conv2d((images - mean) / deviation, weight, stride=self.side)
        return Features(vector=found.flatten(1), map=found)

    def task_model(self, config: Config, head: HeadFactory) -> Classifier:
        return FeatureModel(self, head, map_channels=self.width)


class MissingPackageEncoder(ProjectionEncoder):
    """An encoder that needs a package that is not installed."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "a_package_of_nobody")
    extra: ClassVar[str] = "timm"
