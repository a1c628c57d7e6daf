"""What an encoder is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from dgaal_cli.config.schema import Config
    from dgaal_cli.networks.classifier import Classifier, HeadFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """How stored bytes become the encoder's numbers: ``(value / 255 - mean) / deviation``."""

    mean: tuple[float, ...]
    """One a channel, in 0..1."""
    deviation: tuple[float, ...]
    """One a channel, above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What an encoder yields for N images."""

    vector: "Tensor"
    """float32 ``(N, D)``."""
    map: "Tensor | None" = None
    """float32 ``(N, C, h, w)``: where in the image, for encoders that know."""


class Encoder(Protocol):
    """Images to features; an image's features depend on no other image.

    An encoder is built by the class that the registry names, with ``argument`` (what follows the
    colon of ``encoder.source``), ``image_size`` and ``channels``; it raises ``ConfigError`` for
    those that it cannot take. It moves to the device of the pixels that it is given.
    """

    sides: tuple[int, ...]
    """Sides in pixels at which it can see images, ascending; belongs to the class."""
    packages: tuple[str, ...]
    """Packages that it imports when it is built; belongs to the class."""
    extra: str
    """The extra of dgaal that installs them; belongs to the class."""
    name: str
    """``encoder.source`` as the configuration has it."""
    image_size: int
    """Side in pixels of the images that it is given."""
    channels: int
    """Channels of the images that it is given, 1 or 3."""
    normalization: Normalization

    @property
    def digest(self) -> str:
        """SHA-256, as hexadecimal digits, of everything that features depend on but the image."""
        ...

    @property
    def dimension(self) -> int:
        """Width D of the vector."""
        ...

    def features(self, pixels: "Tensor") -> Features:
        """Encode uint8 pixels ``(N, S, S, C)``, on their device."""
        ...

    def task_model(self, config: "Config", head: "HeadFactory") -> "Classifier":
        """Build a task model T with fresh weights, which takes images ``(B, C, S, S)`` in [-1, 1].

        ``feature_model.FeatureModel`` is T for an encoder whose weights stay as they are.
        """
        ...
