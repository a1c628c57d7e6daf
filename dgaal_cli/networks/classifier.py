"""Task model T: the classifier that the labels are for, and the small one of our own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What T computes on the way to its logits."""

    maps: list[Tensor]
    """Outputs of the stages, each ``(B, M, H, W)``, early first."""
    logits: Tensor
    """``(B, K)``."""
    features: Tensor
    """``(B, F)``: penultimate features h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters whose rate and decay differ by fixed factors from the configured ones."""

    parameters: list[nn.Parameter]
    lr_factor: float = 1.0
    decay_factor: float = 1.0


def draw(weight: Tensor, initializer: Callable[[Tensor], Tensor]) -> None:
    """Draw a weight anew: the same one whatever its memory format.

    Initializers fill memory in its order, so the same seed would give a ``channels_last`` network
    other weights than a plain one.
    """
    plain = torch.empty(weight.shape, dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        weight.copy_(initializer(plain))


def he_normal(weight: Tensor) -> Tensor:
    """Fill a convolution's weight as He et al. 2015 do, by its outputs."""
    return nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


class Classifier(nn.Module):
    """What every task model is; ``networks.task_models`` builds the configured one."""

    feature_width: int
    """Width F of the penultimate features."""
    stage_widths: tuple[int, ...]
    """Channels of the stages' outputs."""
    head: nn.Linear

    def initialize(self) -> None:
        """Draw the weights anew."""
        raise NotImplementedError

    def stages(self, images: Tensor) -> Stages:
        """Classify images ``(B, C, H, W)`` in [-1, 1] and keep what lies between."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images ``(B, C, H, W)`` in [-1, 1].

        Returns:
            Logits ``(B, K)`` and penultimate features h ``(B, F)``.
        """
        stages = self.stages(images)
        return stages.logits, stages.features

    def parameter_groups(self) -> list[ParameterGroup]:
        """What the optimizer gets; one group unless an architecture says otherwise."""
        return [ParameterGroup(parameters=list(self.parameters()))]


class SmallVgg(Classifier):
    """VGG-style network: pairs of 3 x 3 convolutions with BatchNorm, halved until 4 x 4.

    Args:
        channels: Channels C of the images.
        image_size: Side in pixels, a power of two of at least 8.
        classes: Number of classes K.
        width: Channels of the first pair; later pairs have up to four times as many.
    """

    def __init__(self, *, channels: int, image_size: int, classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths: list[int] = []
        before, side, depth = channels, image_size, 0
        while side >= 4:
            after = width * min(2**depth, 4)
            for _ in range(2):
                layers += [
                    nn.Conv2d(before, after, 3, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                ]
                before = after
            layers.append(nn.MaxPool2d(2))
            widths.append(after)
            side, depth = side // 2, depth + 1
        self.stage_widths = tuple(widths)
        self.feature_width = 4 * width
        self.body = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(before * side**2, self.feature_width), nn.ReLU()
        )
        self.head = nn.Linear(self.feature_width, classes)
        self.initialize()

    def initialize(self) -> None:
        """Draw the weights anew: Xavier (Glorot & Bengio 2010), as VAAL and DGAAL state for T."""
        self.apply(_initialize)

    def stages(self, images: Tensor) -> Stages:
        """Classify; a stage ends where the map is halved."""
        maps: list[Tensor] = []
        features = images
        for layer in self.body:
            features = layer(features)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(features)
        return Stages(maps=maps, logits=self.head(features), features=features)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        draw(module.weight, nn.init.xavier_uniform_)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
