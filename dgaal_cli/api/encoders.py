"""List the encoders that work here, and export one to a file."""

import importlib.util
import time
from dataclasses import dataclass

import numpy as np

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders import package
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.encoders.compiled import REQUIRED, cached
from dgaal_cli.encoders.registry import kind_of, load_encoder, recipe_of
from dgaal_cli.errors import DgaalError

_MEASURED_S = 0.5
"""Seconds that an encoder is measured, after a first call."""
_IMAGES = 8
_TIMM_INSTALL = "python -m pip install 'dgaal[timm]'"
COMPILED_LATER = "compiled at first use"
"""State of an encoder whose packages are installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRow:
    """One encoder, and whether it works here."""

    name: str
    """As ``encoder.source`` of the configuration."""
    state: str
    """``ready``, ``compiled at first use`` or ``missing``."""
    remedy: str = ""
    """What to do if it is missing."""
    dimension: int = 0
    """Width of the vector; 0 if unknown."""
    input_size: int = 0
    """Side in pixels of the square that it takes; 0 if unknown."""
    size_bytes: int = 0
    """Of the file with the weights; 0 without weights, or if unknown."""
    milliseconds: float | None = None
    """Per image on this machine, measured now; None if it is not ready."""
    licence: str = ""
    """Of the weights; empty if unknown."""


def list_encoders(configured: EncoderConfig | None = None) -> list[EncoderRow]:
    """List the packaged encoders, timm, and the configured encoder.

    Those that are ready are run for about half a second each. Nothing is downloaded or compiled.

    Args:
        configured: Encoder of a workspace, listed first; None without one.
    """
    listed = [EncoderConfig(source=f"package:{name}") for name in package.PACKAGED]
    if configured is not None and configured.source != "pixels" and configured not in listed:
        listed = [configured, *listed]
    return [*map(_row, listed), _pixels_row(), *_timm_rows(listed)]


def _pixels_row() -> EncoderRow:
    return EncoderRow(name="pixels", state="ready", licence="no weights")


def _timm_rows(listed: list[EncoderConfig]) -> list[EncoderRow]:
    """Return the row of timm as a whole, and those of models in its local cache."""
    if importlib.util.find_spec("timm") is None:
        return [EncoderRow(name="timm:NAME", state="missing", remedy=_TIMM_INSTALL)]
    from dgaal_cli.encoders.timm_models import cached_names

    found = [EncoderConfig(source=f"timm:{name}") for name in cached_names()]
    rows = [_row(each) for each in found if each not in listed]
    return [*rows, EncoderRow(name="timm:NAME", state=COMPILED_LATER)]


def _row(settings: EncoderConfig) -> EncoderRow:
    name = settings.source
    try:
        recipe = recipe_of(settings)
        if recipe is not None and cached(recipe) is None:
            return EncoderRow(
                name=name,
                state="missing" if (remedy := _missing(name)) else COMPILED_LATER,
                remedy=remedy,
                input_size=recipe.framing.side,
                size_bytes=recipe.size_bytes,
                licence=recipe.licence,
            )
        encoder = load_encoder(settings, image_size=64, channels=3)
        return EncoderRow(
            name=name,
            state="ready",
            dimension=encoder.dimension,
            input_size=encoder.input_size,
            size_bytes=getattr(encoder, "size_bytes", 0),
            milliseconds=_milliseconds(encoder),
            licence=getattr(encoder, "licence", ""),
        )
    except DgaalError as error:
        return EncoderRow(name=name, state="missing", remedy=str(error))


def _missing(source: str) -> str:
    """Return what to do before an encoder can be compiled; empty if nothing is missing."""
    name = source.partition(":")[2]
    is_packaged = kind_of(source).build.startswith(package.__name__)
    lacks_weights = is_packaged and package.weights_path(name) is None
    if lacks_weights or any(importlib.util.find_spec(each) is None for each in REQUIRED):
        return package.install_command(name) if is_packaged else _TIMM_INSTALL
    return ""


def _milliseconds(encoder: Encoder) -> float:
    """Return the least time of an image in batches, after a first batch."""
    side = encoder.input_size
    images = np.arange(_IMAGES * side * side * 3, dtype=np.uint32).astype(np.uint8)
    images = images.reshape(_IMAGES, side, side, 3)
    encoder.encode(images[:1])
    best, ends = float("inf"), time.perf_counter() + _MEASURED_S
    while True:
        began = time.perf_counter()
        encoder.encode(images)
        best = min(best, time.perf_counter() - began)
        if time.perf_counter() >= ends:
            return best / _IMAGES * 1000
