"""Compile an encoder from torch to one sealed ONNX file, once, and keep it in the user's cache.

The file takes uint8 images; normalization is inside. ONNX Runtime needs a third of the CPU time of
torch for EfficientNet-Lite0 (16 images of 224 x 224, one thread), and no torch.
"""

import contextlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli import atomic
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.exported_file import read_exported
from dgaal_cli.encoders.image_tensor import ImageTensor
from dgaal_cli.encoders.onnx_network import OnnxNetwork
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from dgaal_cli.encoders.recipe import Recipe
from dgaal_cli.errors import ArtifactError, CheckFailedError, MissingExtraError, StorageError
from dgaal_cli.runtime.onnx_session import OnnxModel
from dgaal_cli.version import __version__
from exporters.chatter import ExportError
from exporters.embedded import embed, read_manifest
from exporters.manifest import EncoderFacts, Manifest, ManifestError, TensorInfo
from exporters.parity import ParityError, measure
from exporters.registry import load_exporter
from exporters.seal import SealError, check, seal
from exporters.spec import ExportSpec

REQUIRED = ("torch", "onnx", "onnxscript")
"""Packages that compiling needs."""
TOLERANCE = 1e-4
"""Largest difference from torch, as a share of the largest number in the features."""


def build_compiled(
    recipe: Recipe, settings: EncoderConfig, *, image_size: int, channels: int
) -> PretrainedEncoder:
    """Build an encoder from its compiled file, which is made if the cache has none.

    Raises:
        MissingExtraError: It must be compiled and torch or another package is not installed.
        CheckFailedError: The compiled file does not compute the same as torch.
    """
    data = compiled(recipe)
    encoder = read_exported(data, settings, image_size=image_size, channels=channels)
    return replace(encoder, size_bytes=recipe.size_bytes)


def cached(recipe: Recipe) -> bytes | None:
    """Return the compiled file of an encoder if the cache has an intact one."""
    with contextlib.suppress(OSError, SealError, ManifestError):
        data = (cache_folder() / f"{recipe.digest}.onnx").read_bytes()
        check(data, "onnx")
        facts = read_manifest(data, "onnx").encoder
        if facts is not None and facts.digest == recipe.digest:
            return data
    return None


def compiled(recipe: Recipe) -> bytes:
    """Return the compiled file of an encoder, from the cache if possible.

    Raises:
        MissingExtraError, CheckFailedError: See ``compile_encoder``.
    """
    data = cached(recipe)
    if data is not None:
        return data
    data = compile_encoder(recipe)
    path = cache_folder() / f"{recipe.digest}.onnx"
    with contextlib.suppress(OSError, StorageError):  # it is compiled again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, data)
    return data


def cache_folder() -> Path:
    """Return the folder of compiled encoders, which may not exist yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "dgaal" / "encoders"


def compile_encoder(recipe: Recipe) -> bytes:
    """Return a sealed ONNX file that computes the same features as torch.

    Raises:
        MissingExtraError: torch or another package is not installed.
        CheckFailedError: The encoder cannot be exported, or differs from torch.
    """
    require_packages(recipe)
    from dgaal_cli.encoders.pixel_module import run_module, with_pixels

    module = with_pixels(recipe.make(), recipe.normalization)

    def run_torch(inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        return run_module(module, inputs["images"])

    blank = np.zeros((1, recipe.framing.side, recipe.framing.side, 3), np.uint8)
    manifest = _manifest(recipe, run_torch({"images": blank}))
    spec = ExportSpec(manifest=manifest)
    largest = max(float(np.abs(each).max()) for each in run_torch(spec.example(2)).values())
    tolerance = TOLERANCE * max(1.0, largest)
    spec = replace(spec, tolerances={each.name: tolerance for each in manifest.outputs})
    try:
        body = load_exporter("onnx")(module, spec)
        report = measure(run_torch, _runner(body, manifest), spec)
    except (ExportError, ParityError, ArtifactError) as error:
        raise CheckFailedError(
            f"encoder '{recipe.source}' cannot run as ONNX: {error}; nothing was written"
        ) from error
    return seal(embed(body, replace(manifest, parity=report.differences), "onnx"), "onnx")


def require_packages(recipe: Recipe) -> None:
    """Check that an encoder can be built in torch and exported here.

    Raises:
        MissingExtraError: A package is not installed.
    """
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"encoder '{recipe.source}'", recipe.extra, ", ".join(missing))


def _runner(body: bytes, manifest: Manifest) -> Any:
    network = OnnxNetwork(OnnxModel(name="the exported encoder", data=body), device="cpu")
    tensor = ImageTensor(layout="NHWC", dtype="uint8")

    def run(inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        names = [each.name for each in manifest.outputs]
        return {name: network.run(inputs["images"], tensor, name) for name in names}

    return run


def _manifest(recipe: Recipe, outputs: Mapping[str, npt.NDArray[Any]]) -> Manifest:
    side = recipe.framing.side
    meanings = {"features": "features of the image", "map": "spatial map; its mean is the vector"}
    return Manifest(
        role="encoder",
        method="",
        input_size=side,
        channels=3,
        inputs=(
            TensorInfo(
                name="images", shape=("N", side, side, 3), dtype="uint8", meaning="RGB images"
            ),
        ),
        outputs=tuple(
            TensorInfo(
                name=name, shape=("N", *array.shape[1:]), dtype="float32", meaning=meanings[name]
            )
            for name, array in outputs.items()
        ),
        versions={"dgaal": __version__, **{name: metadata.version(name) for name in REQUIRED}},
        encoder=EncoderFacts(
            source=recipe.source,
            digest=recipe.digest,
            licence=recipe.licence,
            share=recipe.framing.share,
            interpolation=recipe.framing.interpolation,
        ),
    )
