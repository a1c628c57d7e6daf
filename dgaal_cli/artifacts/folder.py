"""Write verified artifacts and their documents to one folder, all or none."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact, read_artifact
from dgaal_cli.artifacts.model_card import model_card
from dgaal_cli.artifacts.verify_artifact import (
    INT8_ROLE,
    INT8_SUFFIX,
    ExportJob,
    Job,
    Prepared,
    prepare,
    prepare_int8,
)
from dgaal_cli.atomic import write_together
from dgaal_cli.errors import ArtifactError, MissingExtraError, StorageError
from dgaal_cli.events import ArtifactWritten, Emit, Warned, ignore
from exporters.manifest import ROLES
from exporters.quantize import Agreement
from exporters.registry import SUFFIXES

Recorder = Callable[[bytes, str, str], None]
"""Records (sha256, role, format) of an export, so that its TorchScript is trusted later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenArtifact:
    """An artifact that passed its checks and was written."""

    path: Path
    role: str
    format: str
    size_bytes: int
    sha256: bytes
    largest_difference: float
    """Max. absolute difference from the eager model, over all outputs and batch sizes."""
    agreement: Agreement | None
    """Agreement of an int8 sampler's ranking with float32; None for float32 artifacts."""
    seconds: float


def write_artifacts(
    jobs: Sequence[Job],
    *,
    formats: Sequence[str],
    folder: Path,
    record_artifact: Recorder,
    is_quantized: bool = False,
    listener: Emit = ignore,
    device: str = "cpu",
) -> list[WrittenArtifact]:
    """Export every job in every format and write all files to a folder.

    Either all files are renamed to their final names or none; ``SHA256SUMS`` is renamed last.
    Artifacts of an earlier export that are not replaced stay and are listed with the new ones.

    Args:
        jobs: At most one for each role.
        formats: Names of ``exporters.registry.FORMATS``.
        folder: Folder to write; created if missing.
        record_artifact: Called with the digest of each file before the file gets its final name.
        is_quantized: Also write the sampler with int8 convolutions.
        listener: Receives ``ArtifactWritten`` for each file.
        device: Device that runs the exported files for the comparison.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        UsageError: int8 is requested and the pool is too small.
        CheckFailedError: A network cannot be exported, or an exported file does not compute
            the same as the network; nothing was written.
        StorageError: The folder cannot be written; the files in it are unchanged.
    """
    if any(isinstance(job, ExportJob) for job in jobs):
        _require_packages(formats, is_quantized=is_quantized)
    prepared = [prepare(job, format_, device=device) for job in jobs for format_ in formats]
    if is_quantized:
        prepared += [
            prepare_int8(job, device=device)
            for job in jobs
            if isinstance(job, ExportJob) and job.role == INT8_ROLE
        ]
    kept = _kept_artifacts(folder, {item.file_name for item in prepared}, listener)
    present = {item.file_name: item.artifact for item in prepared} | kept
    texts = _documents(dict(sorted(present.items())))
    for item in prepared:
        artifact = item.artifact
        record_artifact(artifact.sha256, artifact.manifest.role, artifact.format)
    _write_all(folder, texts, {item.file_name: item.artifact.data for item in prepared})
    written = [_written(folder, item) for item in prepared]
    for item in written:
        listener(_event(item))
    return written


def _require_packages(formats: Sequence[str], *, is_quantized: bool) -> None:
    has_onnx = is_quantized or "onnx" in formats
    needed = ("torch", "onnx", "onnxscript") if has_onnx else ("torch",)
    for package in needed:
        if util.find_spec(package) is None:
            raise MissingExtraError("dgaal export", "train", package)


def _kept_artifacts(folder: Path, replaced: set[str], listener: Emit) -> dict[str, CheckedArtifact]:
    """Read the artifacts of an earlier export that this one does not replace."""
    kept: dict[str, CheckedArtifact] = {}
    for name in (
        f"{role}{suffix}" for role in ROLES for suffix in (*SUFFIXES.values(), INT8_SUFFIX)
    ):
        path = folder / name
        if name in replaced or not path.is_file():
            continue
        try:
            kept[name] = read_artifact(path)
        except (ArtifactError, StorageError) as error:
            listener(Warned(message=f"{error}; it is not listed in SHA256SUMS"))
    return kept


def _documents(artifacts: dict[str, CheckedArtifact]) -> dict[str, bytes]:
    entries: list[dict[str, Any]] = [
        {
            "file": name,
            "format": artifact.format,
            "size_bytes": len(artifact.data),
            "sha256": artifact.sha256.hex(),
            "manifest": json.loads(artifact.manifest.to_json()),
        }
        for name, artifact in artifacts.items()
    ]
    manifest = json.dumps({"schema": 1, "artifacts": entries}, indent=2, sort_keys=True) + "\n"
    manifests = {name: artifact.manifest for name, artifact in artifacts.items()}
    texts = {"manifest.json": manifest.encode(), "MODEL_CARD.md": model_card(manifests).encode()}
    digests = {name: artifact.sha256.hex() for name, artifact in artifacts.items()}
    digests |= {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return {"SHA256SUMS": sums.encode(), **texts}


def _write_all(folder: Path, texts: dict[str, bytes], artifacts: dict[str, bytes]) -> None:
    """Write all files under temporary names first, so that a full disk changes no file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {folder}: {error.strerror}") from error
    write_together(folder, {**artifacts, **dict(reversed(texts.items()))})  # SHA256SUMS is last


def _written(folder: Path, item: Prepared) -> WrittenArtifact:
    return WrittenArtifact(
        path=folder / item.file_name,
        role=item.artifact.manifest.role,
        format=item.artifact.format,
        size_bytes=len(item.artifact.data),
        sha256=item.artifact.sha256,
        largest_difference=item.largest_difference,
        agreement=item.agreement,
        seconds=item.seconds,
    )


def _event(item: WrittenArtifact) -> ArtifactWritten:
    return ArtifactWritten(
        path=str(item.path),
        role=item.role,
        format=item.format,
        size_bytes=item.size_bytes,
        largest_difference=item.largest_difference,
        seconds=item.seconds,
    )
