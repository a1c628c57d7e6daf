"""Names of the encoders, without importing any: a dict of strings costs no torch."""

import difflib
import importlib.util
from importlib import import_module
from typing import TYPE_CHECKING, cast

from dgaal_cli.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from dgaal_cli.encoders.base import Encoder

ENCODERS = {"pixels": "dgaal_cli.encoders.pixels:PixelsEncoder"}
"""What stands before the colon of ``encoder.source`` to ``module:class``."""


def encoder_class(source: str) -> "type[Encoder]":
    """Return the class of an encoder; imports no torch.

    Raises:
        ConfigError: There is none of that kind; the message names the nearest or all.
    """
    kind = source.partition(":")[0]
    if kind not in ENCODERS:
        near = difflib.get_close_matches(kind, ENCODERS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(ENCODERS)}"
        raise ConfigError(f"unknown encoder '{source}'; {hint}")
    module, _, name = ENCODERS[kind].partition(":")
    return cast("type[Encoder]", getattr(import_module(module), name))


def load_encoder(source: str, *, image_size: int, channels: int) -> "Encoder":
    """Build an encoder.

    Args:
        source: ``encoder.source``: a kind, and after a colon what that kind needs.
        image_size: Side in pixels of the images.
        channels: 1 or 3.

    Raises:
        ConfigError: There is none of that kind, or it takes no such images.
        MissingExtraError: A package that it needs is not installed.
    """
    found = encoder_class(source)
    missing = [name for name in found.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"encoder '{source}'", found.extra, ", ".join(missing))
    check_encoder(source, image_size=image_size)
    argument = source.partition(":")[2]
    return cast("type", found)(argument, image_size=image_size, channels=channels)


def check_encoder(source: str, *, image_size: int) -> None:
    """Check that an encoder exists and can see images of this side in pixels; 0 is not set yet.

    Raises:
        ConfigError: It does not, or it cannot.
    """
    sides = encoder_class(source).sides
    if image_size and image_size not in sides:
        raise ConfigError(
            f"'pool.image_size' is {image_size}; encoder '{source}' takes "
            f"{', '.join(map(str, sides))}"
        )


def side_for(source: str, median_side: int, *, limit: int) -> int:
    """Choose the smallest side that shows the median image whole, at most ``limit`` where possible.

    Args:
        source: ``encoder.source``.
        median_side: Of the shorter sides of the pool's images, in pixels.
        limit: Upper bound, ``network.max_image_size``.
    """
    sides = encoder_class(source).sides
    allowed = [side for side in sides if side <= limit] or [sides[0]]
    return next((side for side in allowed if side >= median_side), allowed[-1])
