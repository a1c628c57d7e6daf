"""The interface of encoders."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from dgaal_cli.config.schema import Config
    from dgaal_cli.networks.classifier import Classifier, HeadFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """Input normalization of an encoder: ``(value / 255 - mean) / deviation``."""

    mean: tuple[float, ...]
    """One per channel, in 0..1."""
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

    The registry builds an encoder from its class with ``argument`` (the text after the colon of
    ``encoder.source``), ``image_size`` and ``channels``; unsupported values raise ``ConfigError``.
    The encoder moves to the device of its input.
    """

    sides: tuple[int, ...]
    """Supported image sides in pixels, ascending; a class attribute."""
    packages: tuple[str, ...]
    """Packages that building it imports; a class attribute."""
    extra: str
    """The extra of dgaal that installs them; a class attribute."""
    name: str
    """``encoder.source`` of the configuration."""
    image_size: int
    """Side of the input images in pixels."""
    channels: int
    """Channels of the input images, 1 or 3."""
    normalization: Normalization

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of everything but the image that features depend on."""
        ...

    @property
    def dimension(self) -> int:
        """Width D of the vector."""
        ...

    def features(self, pixels: "Tensor") -> Features:
        """Encode uint8 pixels ``(N, S, S, C)``, on their device."""
        ...

    def task_model(self, config: "Config", head: "HeadFactory") -> "Classifier":
        """Build a task model T with fresh weights for images ``(B, C, S, S)`` in [-1, 1].

        ``feature_model.FeatureModel`` is T for an encoder with frozen weights.
        """
        ...
