"""Export one network to the bytes of one artifact and compare them with the eager model.

The bytes are sealed, loaded by the engine that users run, and measured. The parity report is then
added, and the final bytes are sealed, loaded and measured again.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact, check_artifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.load import load_engine_bytes
from dgaal_cli.errors import ArtifactError, CheckFailedError, UsageError
from exporters.chatter import ExportError
from exporters.embedded import embed
from exporters.manifest import Manifest
from exporters.parity import ParityError, ParityReport, Run, measure
from exporters.quantize import (
    GOOD_OVERLAP,
    MIN_SPEARMAN,
    Agreement,
    AgreementError,
    compare_rankings,
    quantize,
    split_pool,
)
from exporters.registry import SUFFIXES, load_exporter
from exporters.seal import seal
from exporters.spec import ExportSpec

if TYPE_CHECKING:
    import torch

INT8_SUFFIX = ".int8.onnx"
INT8_ROLE = "sampler"
"""Only the sampler is quantized: scoring needs speed, and rankings tolerate rounding."""
INT8_MIN_POOL = 100
"""Fewer images are too few to estimate ranges and compare rankings."""

_PACKAGES = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy")
_SCORING_BATCH = 64


class Job(Protocol):
    """A model to export."""

    @property
    def role(self) -> str:
        """``"sampler"``, ``"generator"`` or ``"classifier"``; the file's name."""
        ...

    @property
    def spec(self) -> ExportSpec:
        """Its manifest lacks only parity, versions and date."""
        ...

    def body(self, format_: str, spec: ExportSpec) -> bytes:
        """Return the exported file, unsealed.

        Raises:
            ExportError: The model cannot be exported.
        """
        ...

    def reference(self, manifest: Manifest) -> Run:
        """Return a function that computes the outputs without the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """One network to export."""

    module: "torch.nn.Module"
    """Inputs and outputs as in ``spec.manifest``; see ``networks/deploy.py``."""
    spec: ExportSpec
    """Its manifest lacks only parity, versions and date, which are filled in here."""
    pool: NDArray[np.uint8] | None = None
    """(M, H, W, C) images of the pool; int8 is calibrated and checked on them."""

    @property
    def role(self) -> str:
        """``"sampler"``, ``"generator"`` or ``"classifier"``; the file's name."""
        return self.spec.manifest.role

    def body(self, format_: str, spec: ExportSpec) -> bytes:
        """Return the exported file, unsealed."""
        return load_exporter(format_)(self.module, spec)

    def reference(self, manifest: Manifest) -> Run:
        """Return a function that computes the outputs without the file."""
        from dgaal_cli.artifacts.engines.eager import EagerEngine

        return EagerEngine(self.module, manifest).run


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A verified artifact that is not written yet."""

    file_name: str
    artifact: CheckedArtifact
    largest_difference: float
    agreement: Agreement | None
    seconds: float = field(compare=False)


def prepare(job: Job, format_: str, *, device: str) -> Prepared:
    """Export a network and verify the file.

    Raises:
        CheckFailedError: The network cannot be exported, or the file does not compute the same.
    """
    start = perf_counter()
    file_name = f"{job.role}{SUFFIXES[format_]}"
    spec = replace(job.spec, manifest=_dated(job.spec.manifest))
    try:
        body = job.body(format_, spec)
        artifact, largest = _verify(job, spec, body, format_=format_, device=device)
    except (ExportError, ParityError, ArtifactError) as error:
        raise _failed(file_name, error) from error
    return Prepared(
        file_name=file_name,
        artifact=replace(artifact, name=file_name),
        largest_difference=largest,
        agreement=None,
        seconds=perf_counter() - start,
    )


def prepare_int8(job: ExportJob, *, device: str) -> Prepared:
    """Export the sampler with int8 convolutions and check that it ranks like float32.

    Raises:
        UsageError: The pool is too small to calibrate and compare.
        CheckFailedError: The sampler cannot be quantized, or ranks held-out images differently.
    """
    start = perf_counter()
    file_name = f"{job.role}{INT8_SUFFIX}"
    if job.pool is None or len(job.pool) < INT8_MIN_POOL:
        raise UsageError(
            f"int8 needs at least {INT8_MIN_POOL} images of the pool for calibration and "
            f"comparison, but it has {0 if job.pool is None else len(job.pool)}; omit --int8"
        )
    seen, held_out = split_pool(job.pool)
    manifest = replace(_dated(job.spec.manifest), precision="int8")
    # Values may differ; only the ranking must agree.
    unbounded = {info.name: float("inf") for info in manifest.outputs}
    spec = replace(job.spec, manifest=manifest, tolerances=unbounded)
    try:
        exact = load_exporter("onnx")(job.module, job.spec)
        body = _quantize(job, spec, exact, seen, device=device)
        agreement = compare_rankings(
            _scores(_engine(embed(exact, manifest, "onnx"), device), held_out),
            _scores(_engine(embed(body, manifest, "onnx"), device), held_out),
        )
        spec = replace(spec, manifest=replace(manifest, agreement=agreement.as_document()))
        artifact, largest = _verify(job, spec, body, format_="onnx", device=device)
    except (ExportError, ParityError, AgreementError, ArtifactError) as error:
        raise _failed(file_name, error) from error
    return Prepared(
        file_name=file_name,
        artifact=replace(artifact, name=file_name),
        largest_difference=largest,
        agreement=agreement,
        seconds=perf_counter() - start,
    )


def _quantize(
    job: ExportJob, spec: ExportSpec, exact: bytes, seen: NDArray[np.uint8], *, device: str
) -> bytes:
    """Quantize all convolutions, or fewer if the ranking then differs less from float32.

    The exceptions are convolutions with output maps of a few pixels, the last ones of VAAL's
    encoder and of the deeper task models: no later layer averages their rounding errors. ``exact``
    already has them as matrix products, which take little time in float32.
    """
    name = spec.manifest.inputs[0].name
    expected = _scores(_engine(embed(exact, spec.manifest, "onnx"), device), seen)

    def agreement(body: bytes) -> Agreement:
        got = _scores(_engine(embed(body, spec.manifest, "onnx"), device), seen)
        return compare_rankings(expected, got, min_spearman=-1.0)

    convolutional = load_exporter("onnx")(job.module, spec)
    full = quantize(convolutional, seen, input_name=name)
    measured = agreement(full)
    is_good = measured.spearman >= MIN_SPEARMAN and measured.top_overlap >= GOOD_OVERLAP
    if is_good or embed(exact, spec.manifest, "onnx") == convolutional:
        return full
    partial = quantize(exact, seen, input_name=name)
    return max((full, measured), (partial, agreement(partial)), key=_quality)[0]


def _quality(candidate: tuple[bytes, Agreement]) -> tuple[bool, float]:
    """Return the sort key of a quantized sampler: acceptable Spearman, then overlap of the best."""
    _, measured = candidate
    return measured.spearman >= MIN_SPEARMAN, measured.top_overlap


def _verify(
    job: Job, spec: ExportSpec, body: bytes, *, format_: str, device: str
) -> tuple[CheckedArtifact, float]:
    reference = job.reference(spec.manifest)

    def compare(content: bytes) -> tuple[bytes, ParityReport]:
        sealed = seal(content, format_)
        engine = load_engine_bytes(sealed, format=format_, device=device, is_trusted=True)
        return sealed, measure(reference, engine.run, spec)

    _, first = compare(embed(body, spec.manifest, format_))
    manifest = replace(spec.manifest, parity=first.differences)
    sealed, second = compare(embed(body, manifest, format_))
    artifact = check_artifact(sealed, format_=format_)
    return artifact, max(first.largest, second.largest)


def _engine(body: bytes, device: str) -> Engine:
    return load_engine_bytes(seal(body, "onnx"), format="onnx", device=device)


def _scores(engine: Engine, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    name = engine.manifest.inputs[0].name
    parts: list[NDArray[Any]] = [
        engine.run({name: images[start : start + _SCORING_BATCH]})["score"]
        for start in range(0, len(images), _SCORING_BATCH)
    ]
    return np.concatenate(parts)


def _dated(manifest: Manifest) -> Manifest:
    versions = {"dgaal": metadata.version("dgaal"), **manifest.versions}
    for package in _PACKAGES:
        try:
            versions.setdefault(package, metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    created = manifest.created or datetime.now(UTC).isoformat(timespec="seconds")
    return replace(manifest, versions=versions, created=created)


def _failed(file_name: str, error: Exception) -> CheckFailedError:
    return CheckFailedError(f"{file_name} was not written: {error}; no file was changed")
