"""Task model T: its interface, its initialization, and our small network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from dgaal_cli.errors import UsageError
from dgaal_cli.networks.blocks import conv_block


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Intermediate and final outputs of T."""

    maps: list[Tensor]
    """Outputs of the stages, each ``(B, M, H, W)``, first stage first."""
    outputs: Tensor
    """Outputs ``(B, ...)`` of the head: logits ``(B, K)`` in classification."""
    features: Tensor
    """``(B, F)``: penultimate features h."""

    def apply(self, function: Callable[[Tensor], Tensor]) -> "Stages":
        """Return the stages with ``function`` applied to each tensor."""
        return Stages(
            maps=[function(each) for each in self.maps],
            outputs=function(self.outputs),
            features=function(self.features),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters with factors on the configured learning rate and weight decay."""

    parameters: list[nn.Parameter]
    lr_factor: float = 1.0
    decay_factor: float = 1.0


def fill_weight(weight: Tensor, initializer: Callable[[Tensor], Tensor]) -> None:
    """Initialize a weight, independent of its memory format.

    Initializers fill memory in order, so one seed would give a ``channels_last`` network other
    weights than a contiguous one.
    """
    plain = torch.empty(weight.shape, dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        weight.copy_(initializer(plain))


def initialize_he(module: nn.Module) -> None:
    """Initialize a convolution as in He et al. 2015, by its fan-out, or a BatchNorm."""
    if isinstance(module, nn.Conv2d):
        he = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
        fill_weight(module.weight, he)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.ones_(module.weight)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class Head(Protocol):
    """A task's head on T's features; a module that is trained with T."""

    def __call__(self, features: Tensor, maps: Sequence[Tensor] = (), /) -> Tensor:
        """Return outputs ``(B, ...)`` for features ``(B, F)`` and the maps of T's stages."""
        ...

    def probabilities(self, outputs: Tensor, /) -> Tensor:
        """Return the probabilities ``(B, K)`` or ``(B, P, K)`` of outputs."""
        ...


HeadFactory = Callable[[int, tuple[int, ...]], Head]
"""Builds a head from the number F of features and the channels of the maps."""


class Classifier(nn.Module):
    """Base of task models; an encoder builds the configured one."""

    feature_width: int
    """Width F of the penultimate features."""
    stage_widths: tuple[int, ...]
    """Channels of the stages' outputs."""
    head: Head

    def initialize(self) -> None:
        """Initialize the weights."""
        raise NotImplementedError

    def stages(self, images: Tensor) -> Stages:
        """Predict images ``(B, C, H, W)`` in [-1, 1] and return all stages."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict images ``(B, C, H, W)`` in [-1, 1].

        Returns:
            The head's outputs ``(B, ...)`` and penultimate features h ``(B, F)``.
        """
        stages = self.stages(images)
        return stages.outputs, stages.features

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the optimizer's parameter groups; one, unless an architecture overrides this."""
        return [ParameterGroup(parameters=list(self.parameters()))]


class SmallVgg(Classifier):
    """VGG-style network: pairs of 3 x 3 convolutions with BatchNorm, halved until 4 x 4.

    Args:
        image_size: Side in pixels, a power of two of at least 8.
        width: Channels of the first pair; later pairs have up to four times as many.
    """

    def __init__(self, *, channels: int, image_size: int, head: HeadFactory, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths: list[int] = []
        before, side, depth = channels, image_size, 0
        while side >= 4:
            after = width * min(2**depth, 4)
            for _ in range(2):
                layers += conv_block(before, after)
                before = after
            layers.append(nn.MaxPool2d(2))
            widths.append(after)
            side, depth = side // 2, depth + 1
        self.stage_widths = tuple(widths)
        self.feature_width = 4 * width
        self.body = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(before * side**2, self.feature_width), nn.ReLU()
        )
        self.head = head(self.feature_width, self.stage_widths)
        self.initialize()

    def initialize(self) -> None:
        """Initialize the weights: Xavier (Glorot & Bengio 2010), as VAAL and DGAAL state for T."""
        self.apply(initialize_xavier)

    def stages(self, images: Tensor) -> Stages:
        """Predict; each halving of the map ends a stage."""
        maps: list[Tensor] = []
        features = images
        for layer in self.body:
            features = layer(features)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(features)
        return Stages(maps=maps, outputs=self.head(features, maps), features=features)


def linear_head(network: Classifier) -> nn.Linear:
    """Return T's head if it is a single linear layer.

    Raises:
        UsageError: The task's head is not a single linear layer.
    """
    if not isinstance(network.head, nn.Linear):
        raise UsageError(
            "this method or architecture needs a task model with one linear layer on its "
            "features, as in classification; choose another"
        )
    return network.head


def initialize_xavier(module: nn.Module) -> None:
    """Initialize a linear or convolutional layer (Glorot & Bengio 2010), biases zero."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        fill_weight(module.weight, nn.init.xavier_uniform_)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
