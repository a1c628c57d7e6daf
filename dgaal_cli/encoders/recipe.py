"""An encoder that is built in torch and then runs as ONNX."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.encoders.base import Normalization

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to build an encoder."""

    source: str
    """``encoder.source`` of the configuration."""
    framing: Framing
    normalization: Normalization
    """Of the three colors."""
    digest: str
    """SHA-256 (hexadecimal) of everything that features depend on."""
    licence: str
    size_bytes: int
    """Of the file with the weights."""
    extra: str
    """The extra of dgaal that installs what ``make`` needs."""
    make: "Callable[[], nn.Module]"
    """Load the weights into a module in evaluation mode: normalized images ``(N, 3, S, S)`` to a
    map ``(N, D, h, w)`` or vectors ``(N, D)``."""
