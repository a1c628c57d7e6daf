"""Encoders by name; a module is imported only when its encoder is used."""

import importlib.util
from importlib import import_module
from typing import TYPE_CHECKING, cast

from dgaal_cli.errors import ConfigError, MissingExtraError, check_known

if TYPE_CHECKING:
    from dgaal_cli.encoders.base import Encoder

ENCODERS = {"pixels": "dgaal_cli.encoders.pixels:PixelsEncoder"}
"""The part of ``encoder.source`` before the colon to ``module:class``."""


def encoder_class(source: str) -> "type[Encoder]":
    """Return the class of an encoder, without importing torch.

    Raises:
        ConfigError: The encoder is unknown; the message names the nearest or all.
    """
    kind = source.partition(":")[0]
    check_known(kind, ENCODERS, problem=f"unknown encoder '{source}'")
    module, _, name = ENCODERS[kind].partition(":")
    return cast("type[Encoder]", getattr(import_module(module), name))


def load_encoder(source: str, *, image_size: int, channels: int) -> "Encoder":
    """Build the encoder of ``encoder.source``: a kind, optionally with a colon and an argument.

    Raises:
        ConfigError: The encoder is unknown, or does not support such images.
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
    """Check that an encoder exists and supports images of this side in pixels; 0 means not set.

    Raises:
        ConfigError: The encoder is unknown or does not support the side.
    """
    sides = encoder_class(source).sides
    if image_size and image_size not in sides:
        raise ConfigError(
            f"'pool.image_size' is {image_size}; encoder '{source}' takes "
            f"{', '.join(map(str, sides))}"
        )


def side_for(source: str, median_side: int, *, limit: int) -> int:
    """Return the smallest side that holds the median image, at most ``limit`` if possible.

    ``median_side`` is the median of the shorter sides of the pool's images; all are in pixels.
    """
    sides = encoder_class(source).sides
    allowed = [side for side in sides if side <= limit] or [sides[0]]
    return next((side for side in allowed if side >= median_side), allowed[-1])
