"""Export a pretrained encoder as one ONNX file that runs without torch."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dgaal_cli import atomic
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decode_stream import decode_to
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.data.decoders.process import Shape
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.sources import open_source
from dgaal_cli.encoders.agreement import MIN_IMAGES, FeatureAgreement, compare_features
from dgaal_cli.encoders.compiled import TOLERANCE, compiled, require_packages
from dgaal_cli.encoders.exported_file import read_exported
from dgaal_cli.encoders.int8 import MIN_POOL, quantized
from dgaal_cli.encoders.recipe import Recipe
from dgaal_cli.encoders.registry import download_weights, located, recipe_of
from dgaal_cli.errors import CheckFailedError, UsageError
from exporters.quantize import MIN_SPEARMAN

_COMPARED = 32
"""Images of each kind that are compared with torch."""
_READ = 1000
"""Images that are read at most: int8 sets its ranges on half of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedEncoder:
    """Files that were written, and what was measured."""

    path: Path
    size_bytes: int
    digest: str
    """That of the encoder, so features that were computed with it stay valid."""
    random: FeatureAgreement
    """Agreement with torch on random images."""
    real: FeatureAgreement | None
    """Agreement with torch on images of a source; None without one."""
    int8: Path | None = None
    int8_agreement: FeatureAgreement | None = None
    """Agreement of int8 with float32 on images that did not set its ranges."""
    int8_time: float | None = None
    """Time of int8 as a share of float32's, on this machine."""
    int8_problem: str = ""
    """Why no int8 file was written, if one was wanted."""


def export_encoder(
    name: str,
    output: Path,
    *,
    base: Path,
    images: str = "",
    images_base: Path | None = None,
    int8: Path | None = None,
    downloads: bool = False,
) -> ExportedEncoder:
    """Export an encoder and compare the file with torch.

    Args:
        name: ``package:NAME``, ``timm:NAME`` or ``timm:NAME@WEIGHTS``.
        output: File to write, with the suffix ``.onnx``.
        base: Folder that relative paths are relative to.
        images: SOURCE of images to compare on, and to quantize with; may be empty without ``int8``.
        images_base: Folder that a relative path in ``images`` is relative to; None: ``base``.
        int8: File to write in addition, if it is faster here and ranks distances alike.
        downloads: Whether weights may be downloaded.

    Raises:
        UsageError: The encoder is unknown or does not work here, or images are missing.
        CheckFailedError: The file does not compute what torch computes.
        StorageError: A file cannot be written.
    """
    settings = located(EncoderConfig(source=name), base)
    for path in filter(None, (output, int8)):
        if path.suffix.lower() != ".onnx":
            raise UsageError(f"{path} is not the name of an ONNX file; end it with .onnx")
    if downloads:
        download_weights(settings)
    recipe = recipe_of(settings)
    if recipe is None:
        raise UsageError(
            f"encoder '{name}' is not built in torch, so there is nothing to export; name "
            "package:NAME or timm:NAME"
        )
    real = _read(images, images_base or base, recipe.framing) if images else None
    if int8 is not None and (real is None or len(real) < MIN_POOL):
        raise UsageError(
            f"--int8 needs at least {MIN_POOL} readable images to set ranges and to compare, not "
            f"{0 if real is None else len(real)}; name their SOURCE with --images"
        )
    require_packages(recipe)
    data = compiled(recipe)
    side = recipe.framing.side
    noise = np.random.default_rng(0).integers(256, size=(_COMPARED, side, side, 3))
    compared = [_against_torch(recipe, data, noise.astype(np.uint8))]
    if real is not None and len(real) >= MIN_IMAGES:
        compared.append(_against_torch(recipe, data, real[:_COMPARED]))
    atomic.write_bytes(output, data)
    result = ExportedEncoder(
        path=output,
        size_bytes=len(data),
        digest=recipe.digest,
        random=compared[0],
        real=compared[1] if len(compared) > 1 else None,
    )
    return result if int8 is None or real is None else _with_int8(result, data, real, int8)


def _with_int8(result: ExportedEncoder, data: bytes, images: Pixels, path: Path) -> ExportedEncoder:
    try:
        small, agreement, share = quantized(data, images, name=str(result.path))
    except CheckFailedError as error:
        return replace(result, int8_problem=str(error))
    atomic.write_bytes(path, small)
    return replace(result, int8=path, int8_agreement=agreement, int8_time=share)


def _against_torch(recipe: Recipe, data: bytes, images: Pixels) -> FeatureAgreement:
    from dgaal_cli.encoders.pixel_module import run_module, with_pixels

    module = with_pixels(recipe.make(), recipe.normalization)
    encoder = read_exported(data, EncoderConfig(source=recipe.source), image_size=64, channels=3)
    expected = run_module(module, images)["features"]
    found = compare_features(expected, encoder.encode(images))
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if found.largest_difference > limit or not found.spearman >= MIN_SPEARMAN:
        raise CheckFailedError(
            f"encoder '{recipe.source}' was not exported: on {found.images} images its features "
            f"differ from torch's by {found.largest_difference:.2g} (the limit is {limit:.2g}), "
            f"Spearman of distances {found.spearman:.4f}"
        )
    return found


def _read(source: str, base: Path, framing: Framing) -> Pixels:
    """Return readable images ``(M, S, S, 3)``, evenly spaced if the source knows its length."""
    opened = open_source(source, base=base)
    count = opened.count()
    step = 1 if count is None else max(1, count // _READ)
    entries = itertools.islice(itertools.islice(opened.entries(), 0, None, step), _READ)
    shape = Shape(side=framing.side, channels=3, hashes=False, reduces=False, framing=framing)
    parts = [batch.pixels[batch.ok] for batch in decode_to(shape, entries, workers=0, chunk=64)]
    empty = np.empty((0, framing.side, framing.side, 3), np.uint8)
    return np.concatenate([empty, *parts])
