"""The encoders ``timm:NAME`` and ``timm:NAME@WEIGHTS``: models of the library timm.

Weights come from a file, or from the local caches that timm fills. Only ``download`` uses the
network.
"""

import hashlib
import importlib.util
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.encoders.base import Normalization
from dgaal_cli.encoders.compiled import build_compiled
from dgaal_cli.encoders.pretrained import PretrainedEncoder, digest_of
from dgaal_cli.encoders.recipe import Recipe
from dgaal_cli.errors import ConfigError, InputDataError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from torch import nn

KIND = "timm"
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def build(settings: EncoderConfig, *, image_size: int, channels: int) -> PretrainedEncoder:
    """Build the encoder: see ``registry.load_encoder``."""
    recipe = recipe_of(settings)
    return build_compiled(recipe, settings, image_size=image_size, channels=channels)


def recipe_of(settings: EncoderConfig) -> Recipe:
    """Return how to build the encoder.

    Raises:
        ConfigError: timm has no such model, or it takes no images of this size.
        UsageError: The weights are neither given nor in a local cache.
        MissingExtraError: timm is not installed.
    """
    name, _, given = settings.source.partition(":")[2].partition("@")
    stated = _pretrained_cfg(name)
    weights = Path(given) if given else cached_weights(name)
    if weights is None:
        raise UsageError(
            f"the weights of encoder '{settings.source}' are not in a local cache; add --download, "
            f"or give a file of weights: {KIND}:{name}@FILE"
        )
    try:
        digest = _file_digest(weights)
    except OSError as error:
        raise UsageError(
            f"cannot read the weights {weights} of encoder '{settings.source}': {error.strerror}"
        ) from error
    framing = _framing(stated, settings.input_size)
    normalization = Normalization(mean=tuple(stated.mean), deviation=tuple(stated.std))
    return Recipe(
        source=settings.source,
        framing=framing,
        normalization=normalization,
        digest=digest_of(KIND, name, digest, framing, normalization),
        licence=stated.license or "",
        size_bytes=weights.stat().st_size,
        extra=KIND,
        make=partial(_make, name, weights, framing.side, settings.source),
    )


def cached_weights(name: str) -> Path | None:
    """Return the file with a model's published weights if a local cache has it.

    Raises:
        ConfigError: timm has no such model.
    """
    stated = _pretrained_cfg(name)
    import torch
    from huggingface_hub import try_to_load_from_cache

    if stated.hf_hub_id:
        names = [stated.hf_hub_filename] if stated.hf_hub_filename else _HUB_FILES
        for file in names:
            found = try_to_load_from_cache(stated.hf_hub_id, file)
            if isinstance(found, str):
                return Path(found)
    if stated.url:
        path = Path(torch.hub.get_dir()) / "checkpoints" / stated.url.rpartition("/")[2]
        return path if path.is_file() else None
    return None


def cached_names() -> list[str]:
    """Return the names of models whose weights the local cache has."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    owners = [each.repo_id.partition("/") for each in repositories]
    import timm

    return sorted(name for owner, _, name in owners if owner == KIND and timm.is_model(name))


def download(settings: EncoderConfig) -> None:
    """Download the published weights into timm's local cache, unless they are there or given.

    Raises:
        ConfigError: timm has no such model.
        UsageError: The download failed.
    """
    name, _, given = settings.source.partition(":")[2].partition("@")
    if given or cached_weights(name) is not None:
        return
    import timm

    try:
        timm.create_model(name, pretrained=True)
    except Exception as error:  # many unrelated types
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"cannot download the weights of timm's model '{name}': {reason}"
        ) from error


def _pretrained_cfg(name: str) -> Any:
    """Return what timm states of a model."""
    if importlib.util.find_spec("timm") is None:
        raise MissingExtraError(f"encoder '{KIND}:{name}'", KIND, "timm")
    import timm

    if not name or not timm.is_model(name):
        near: list[str] = timm.list_models(f"*{name}*")[:5] if name.isidentifier() else []
        hint = f"similar: {', '.join(near)}" if near else "see timm.list_models()"
        raise ConfigError(f"timm has no model '{name}'; {hint}")
    stated = timm.get_pretrained_cfg(name)
    if stated is None:
        raise ConfigError(f"timm states no input of model '{name}'; choose another")
    return stated


def _framing(stated: Any, wanted: int) -> Framing:
    side = int(wanted or stated.input_size[-1])
    share = 0.0 if stated.crop_mode == "squash" else float(stated.crop_pct)
    interpolation = "bicubic" if stated.interpolation == "bicubic" else "bilinear"
    return Framing(side, share, interpolation)


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _make(name: str, weights: Path, side: int, source: str) -> "nn.Module":
    """Load the weights into the model without its classifier.

    Raises:
        InputDataError: The weights are not those of the model, or it takes no images of this side.
    """
    import timm
    import torch

    options: dict[str, Any] = {
        "pretrained": True,
        "num_classes": 0,
        "pretrained_cfg_overlay": {"file": str(weights), "custom_load": False},
    }
    try:
        try:
            module = timm.create_model(name, img_size=side, **options)
        except TypeError:  # only transformers have a fixed size
            module = timm.create_model(name, **options)
        module.eval()
        with torch.inference_mode():
            module(torch.zeros(1, 3, side, side))
    except Exception as error:  # many unrelated types
        reason = " ".join(str(error).split())[:200]
        raise InputDataError(
            f"timm cannot build encoder '{source}' for images of {side} x {side} pixels: {reason}; "
            "give weights of this model, and a size that it takes"
        ) from error
    return module
