"""Encoders by kind; a module is imported only when its encoder is used."""

import dataclasses
import importlib.util
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.errors import ConfigError, MissingExtraError, check_known

if TYPE_CHECKING:
    from collections.abc import Callable

    from dgaal_cli.encoders.base import Encoder
    from dgaal_cli.encoders.recipe import Recipe


class Kind(NamedTuple):
    """One kind of encoder."""

    build: str
    """``module:function`` that takes ``EncoderConfig``, ``image_size`` and ``channels``."""
    settings: tuple[str, ...] = ()
    """Names of the settings in ``[encoder]`` that it uses."""
    sides: tuple[int, ...] = ()
    """Sides in pixels of the pool's images that it supports, ascending; empty for all."""
    packages: tuple[str, ...] = ()
    """Packages that it needs in addition to the core install."""
    extra: str = ""
    """The extra of dgaal that installs them."""
    recipe: str = ""
    """``module:function`` from ``EncoderConfig`` to the recipe of an encoder that is compiled."""
    download: str = ""
    """``module:function`` that downloads the weights of an ``EncoderConfig``; empty if none can be
    downloaded."""


ONNX = "FILE.onnx"
AUTO = "auto"
"""Stands for the best encoder that works here; only ``choice.choose_encoder`` knows it."""
ENCODERS = {
    "pixels": Kind("dgaal_cli.encoders.pixels:build", (), (8, 16, 32, 64), ("torch",), "train"),
    "package": Kind(
        "dgaal_cli.encoders.package:build",
        ("input_size",),
        recipe="dgaal_cli.encoders.package:recipe_of",
    ),
    "timm": Kind(
        "dgaal_cli.encoders.timm_models:build",
        ("input_size",),
        extra="timm",
        recipe="dgaal_cli.encoders.timm_models:recipe_of",
        download="dgaal_cli.encoders.timm_models:download",
    ),
    ONNX: Kind(
        "dgaal_cli.encoders.onnx_file:build",
        ("input_size", "layout", "channel_order", "pixel_max", "mean", "deviation", "output"),
    ),
}
"""Kinds by name: the part of ``encoder.source`` before the colon, or ``ONNX`` for a file."""


def kind_of(source: str) -> Kind:
    """Return the kind of an encoder.

    Raises:
        ConfigError: The kind is unknown; the message names the nearest or all.
    """
    name = source.partition(":")[0]
    if name not in ENCODERS and source.lower().endswith(".onnx"):
        name = ONNX
    if source == AUTO:
        raise ConfigError(
            f"encoder '{AUTO}' is chosen once, by 'dgaal init --encoder {AUTO}', which writes its "
            "name to dgaal.toml; name an encoder that 'dgaal encoders' lists"
        )
    check_known(name, ENCODERS, problem=f"unknown encoder '{source}'")
    return ENCODERS[name]


def load_encoder(settings: EncoderConfig, *, image_size: int, channels: int) -> "Encoder":
    """Build the encoder of ``[encoder]`` for a pool's pixels of this side and these channels.

    Raises:
        ConfigError: The encoder is unknown, or does not support a setting or such images.
        MissingExtraError: A package that it needs is not installed.
        UsageError: A file does not exist or is no image model.
        ArtifactError: A file is damaged.
    """
    check_encoder(settings, image_size=image_size)
    kind = kind_of(settings.source)
    missing = [name for name in kind.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"encoder '{settings.source}'", kind.extra, ", ".join(missing))
    return _function(kind.build)(settings, image_size=image_size, channels=channels)


def recipe_of(settings: EncoderConfig) -> "Recipe | None":
    """Return how an encoder is built in torch; None if its kind runs as it is.

    Raises:
        ConfigError: The encoder is unknown, or does not support a setting.
        MissingExtraError: A package that it needs is not installed.
        UsageError: Its weights are not there.
    """
    check_encoder(settings, image_size=0)
    recipe = kind_of(settings.source).recipe
    return _function(recipe)(settings) if recipe else None


def encoder_file(settings: EncoderConfig) -> bytes:
    """Return the ONNX file of a pretrained encoder that was loaded before.

    Raises:
        DgaalError: See ``load_encoder``.
    """
    recipe = recipe_of(settings)
    name = "compiled:compiled" if recipe is not None else "onnx_file:content_of"
    return _function(f"dgaal_cli.encoders.{name}")(settings if recipe is None else recipe)


def download_weights(settings: EncoderConfig) -> None:
    """Download the weights of an encoder if its kind has a place for them; needs the network.

    Raises:
        ConfigError: The encoder is unknown.
        MissingExtraError: A package that it needs is not installed.
        UsageError: The download failed.
    """
    download = kind_of(settings.source).download
    if download:
        _function(download)(settings)


def check_encoder(settings: EncoderConfig, *, image_size: int) -> None:
    """Check what can be checked without reading a file; an image side of 0 pixels is not set.

    Raises:
        ConfigError: The encoder is unknown or does not support a setting or the side.
    """
    kind, unset = kind_of(settings.source), EncoderConfig()
    for name in EncoderConfig.__dataclass_fields__:
        is_used = name == "source" or name in kind.settings
        if not is_used and getattr(settings, name) != getattr(unset, name):
            raise ConfigError(
                f"'encoder.{name}' is not a setting of encoder '{settings.source}'; leave it out"
            )
    if image_size and kind.sides and image_size not in kind.sides:
        raise ConfigError(
            f"'pool.image_size' is {image_size}; encoder '{settings.source}' takes "
            f"{', '.join(map(str, kind.sides))}"
        )


def located(settings: EncoderConfig, base: Path) -> EncoderConfig:
    """Return the settings with a relative path made absolute; it is relative to ``base``."""
    before, mark, path = settings.source.rpartition("@")
    if kind_of(settings.source) is ENCODERS[ONNX]:
        before, mark, path = "", "", settings.source
    elif not (mark and kind_of(settings.source) is ENCODERS["timm"]):
        return settings
    source = f"{before}{mark}{base.absolute() / path}"
    return dataclasses.replace(settings, source=source)


def side_for(source: str, median_side: int, *, limit: int) -> int:
    """Return the smallest side that holds the median image, at most ``limit`` if possible.

    It is the side of the pixels that networks are trained on, and of synthetic images; pretrained
    encoders read the images themselves.

    ``median_side`` is the median of the shorter sides of the pool's images; all are in pixels.
    """
    sides = kind_of(source).sides or ENCODERS["pixels"].sides
    allowed = [side for side in sides if side <= limit] or [sides[0]]
    return next((side for side in allowed if side >= median_side), allowed[-1])


def _function(target: str) -> "Callable[..., Any]":
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
