"""The interface of encoders."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.data.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor

    from dgaal_cli.config.schema import Config
    from dgaal_cli.networks.classifier import Classifier, HeadFactory

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """Input normalization of an encoder: ``(value / 255 - mean) / deviation``."""

    mean: tuple[float, ...]
    """One per channel; white is 1."""
    deviation: tuple[float, ...]
    """One per channel, above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features of N images."""

    vector: "Tensor"
    """float32 ``(N, D)``."""
    map: "Tensor | None" = None
    """float32 ``(N, C, h, w)``: a spatial map, if the encoder has one."""


class Encoder(Protocol):
    """Images to features; an image's features depend on no other image.

    The registry builds an encoder from ``[encoder]`` of the configuration, and from side and
    channels of the pool's pixels; unsupported values raise ``ConfigError``.
    """

    @property
    def name(self) -> str:
        """``encoder.source`` of the configuration."""
        ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that ``features`` and the task model take."""
        ...

    @property
    def channels(self) -> int:
        """Channels of these images, 1 or 3."""
        ...

    @property
    def framing(self) -> Framing:
        """How an image becomes the square that ``encode`` takes, as the encoder's authors do it."""
        ...

    @property
    def input_size(self) -> int:
        """Side S in pixels of the square that ``encode`` takes."""
        ...

    @property
    def dimension(self) -> int:
        """Width D of the vector."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of everything but the image that features depend on."""
        ...

    def fit(self, image: Pixels) -> Pixels:
        """Return the square ``(S, S, C)`` of an image ``(H, W, 1 or 3)`` by ``framing``."""
        ...

    def encode(self, images: Pixels) -> FloatArray:
        """Encode uint8 squares ``(N, S, S, C)``, N >= 0, to ``(N, D)``, without torch."""
        ...

    def features(self, pixels: "Tensor") -> Features:
        """Encode uint8 pixels ``(N, image_size, image_size, channels)``, on their device."""
        ...

    def task_model(self, config: "Config", head: "HeadFactory") -> "Classifier":
        """Build a task model T with fresh weights.

        It takes images ``(B, C, S, S)`` in [-1, 1] from ``pixels``, where S is ``image_size``, and
        standardized features ``(B, D)`` from any other encoder: ``networks.feature_model``.
        """
        ...
