"""Networks -> files that others can run, each proven against the eager model before it has a name.

An artifact is exported and sealed, loaded by the engine that users run, measured, given its parity
report, sealed again, loaded and measured once more. Only then are the files of all jobs written.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata, util
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dgaal_cli.atomic import replacing
from dgaal_cli.engines.artifact import CheckedArtifact, check_artifact, read_artifact
from dgaal_cli.engines.load import load_engine_bytes
from dgaal_cli.errors import ArtifactError, CheckFailedError, MissingExtraError, StorageError
from dgaal_cli.events import ArtifactWritten, Emit, Warned, ignore
from dgaal_cli.harmless import show
from dgaal_cli.reports.model_card import model_card
from exporters.chatter import ExportError
from exporters.embedded import embed
from exporters.manifest import ROLES, Manifest
from exporters.parity import ParityError, ParityReport, measure
from exporters.registry import SUFFIXES, load_exporter
from exporters.seal import seal
from exporters.spec import ExportSpec

if TYPE_CHECKING:
    import torch

ALL_FORMATS = tuple(SUFFIXES)
"""What is written unless the user names formats."""

Recorder = Callable[[bytes, str, str], None]
"""Remembers (sha256, role, format) of an own export, so that its TorchScript is trusted later."""

_PACKAGES = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """One network to export."""

    module: "torch.nn.Module"
    """Takes and returns what ``spec.manifest`` says; see ``networks/deploy.py``."""
    spec: ExportSpec
    """Its manifest says everything but parity, versions and date, which are filled in here."""

    @property
    def role(self) -> str:
        """``"sampler"``, ``"generator"`` or ``"classifier"``; the file's name."""
        return self.spec.manifest.role


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenArtifact:
    """A file that passed its checks and took its name."""

    path: Path
    role: str
    format: str
    size_bytes: int
    sha256: bytes
    largest_difference: float
    """From the eager model, over all outputs and batch sizes."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What an export left behind."""

    folder: Path
    artifacts: tuple[WrittenArtifact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A finished file that has no name on disk yet."""

    file_name: str
    artifact: CheckedArtifact
    largest_difference: float
    seconds: float = field(compare=False)


def write_artifacts(
    jobs: Sequence[ExportJob],
    *,
    formats: Sequence[str],
    folder: Path,
    record_artifact: Recorder,
    listener: Emit = ignore,
    device: str = "cpu",
) -> list[WrittenArtifact]:
    """Export every job in every format and write the folder that goes with them.

    Either all files take their names or none does, and ``SHA256SUMS`` takes its name last.
    Artifacts of an earlier export that are not replaced stay and are listed with the new ones.

    Args:
        jobs: At most one for each role.
        formats: Names of ``exporters.registry.FORMATS``.
        folder: Where to write; made if it is missing.
        record_artifact: Called with the digest of each file before the file takes its name.
        listener: Receives ``ArtifactWritten`` for each file.
        device: Where the exported files are run for the comparison.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        CheckFailedError: A network cannot be exported, or an exported file does not compute
            what the network does; nothing was written.
        StorageError: The folder cannot be written; the files in it are unchanged.
    """
    _require_packages(formats)
    prepared = [_prepare(job, format_, device) for job in jobs for format_ in formats]
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


def _prepare(job: ExportJob, format_: str, device: str) -> _Prepared:
    from dgaal_cli.engines.eager import EagerEngine

    start = perf_counter()
    file_name = f"{job.role}{SUFFIXES[format_]}"
    manifest = _dated(job.spec.manifest)
    spec = replace(job.spec, manifest=manifest)
    reference = EagerEngine(job.module, manifest)

    def compare(body: bytes) -> tuple[bytes, ParityReport]:
        sealed = seal(body, format_)
        engine = load_engine_bytes(sealed, format=format_, device=device, is_trusted=True)
        return sealed, measure(reference.run, engine.run, spec)

    try:
        body = load_exporter(format_)(job.module, spec)
        _, first = compare(body)
        proven = replace(manifest, parity=first.differences)
        # The report changes the file, so the file that users get is measured once more.
        sealed, second = compare(embed(body, proven, format_))
    except (ExportError, ParityError, ArtifactError) as error:
        raise CheckFailedError(
            f"{file_name} was not written: {show(str(error))}; no file was changed"
        ) from error
    return _Prepared(
        file_name=file_name,
        artifact=check_artifact(sealed, format_=format_, name=file_name),
        largest_difference=max(first.largest, second.largest),
        seconds=perf_counter() - start,
    )


def _require_packages(formats: Sequence[str]) -> None:
    needed = ("torch", "onnx", "onnxscript") if "onnx" in formats else ("torch",)
    for package in needed:
        if util.find_spec(package) is None:
            raise MissingExtraError("dgaal export", "train", package)


def _dated(manifest: Manifest) -> Manifest:
    versions = {"dgaal": metadata.version("dgaal"), **manifest.versions}
    for package in _PACKAGES:
        try:
            versions.setdefault(package, metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    created = manifest.created or datetime.now(UTC).isoformat(timespec="seconds")
    return replace(manifest, versions=versions, created=created)


def _kept_artifacts(folder: Path, replaced: set[str], listener: Emit) -> dict[str, CheckedArtifact]:
    """Read what an earlier export left and this one does not replace."""
    kept: dict[str, CheckedArtifact] = {}
    for name in (f"{role}{suffix}" for role in ROLES for suffix in SUFFIXES.values()):
        path = folder / name
        if name in replaced or not path.is_file():
            continue
        try:
            kept[name] = read_artifact(path)
        except (ArtifactError, StorageError) as error:
            listener(Warned(message=f"{error}; it is left out of SHA256SUMS"))
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
    """Put every file on the disk under a temporary name first, so that a full disk harms none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {show(str(folder))}: {error.strerror}") from error
    with ExitStack() as stack:
        # Names are taken in reverse order: SHA256SUMS was entered first and comes last.
        for name, data in {**texts, **artifacts}.items():
            stream = stack.enter_context(replacing(folder / name))
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())


def _written(folder: Path, item: _Prepared) -> WrittenArtifact:
    return WrittenArtifact(
        path=folder / item.file_name,
        role=item.artifact.manifest.role,
        format=item.artifact.format,
        size_bytes=len(item.artifact.data),
        sha256=item.artifact.sha256,
        largest_difference=item.largest_difference,
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
