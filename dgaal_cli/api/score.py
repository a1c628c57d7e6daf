"""Score images offline with an exported sampler: no workspace and, for ONNX, no torch needed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact, read_artifact
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit, ignore
from dgaal_cli.methods.registry import why_no_sampler
from dgaal_cli.scoring.features import check_folder
from dgaal_cli.scoring.options import ScoreOptions, ScoreResult, sheet_path
from dgaal_cli.scoring.run import ScoringRun
from dgaal_cli.scoring.writers import WriteTable, table_writer
from dgaal_cli.workspace import Workspace
from exporters.registry import SUFFIXES

__all__ = ["ScoreOptions", "ScoreResult", "default_artifact", "score", "trusted_by"]

EngineName = Literal["onnx", "torchscript"]


def score(
    source: str | Source,
    *,
    artifact: Path,
    base: Path,
    output: Path | BinaryIO | None = None,
    options: ScoreOptions | None = None,
    emit: Emit = ignore,
) -> ScoreResult:
    """Score every image of a source and rank them, highest score = ask first.

    Args:
        source: SOURCE text, or an open source.
        artifact: An exported sampler, ``.onnx`` or ``.ts``.
        base: Folder that a relative SOURCE is relative to.
        output: Table to write, ``.csv``, ``.jsonl`` or ``.parquet``; a stream gets CSV; None
            returns the rows.
        options: How to score.
        emit: Hears of the progress.

    Raises:
        UsageError: A source, file or option that cannot be used as asked.
        ArtifactError: The artifact is damaged, foreign or no sampler.
        TrustError: TorchScript that nobody vouches for.
        StorageError: A result cannot be written.
        InterruptedRunError: A signal asked to stop; with a table to write, ``resume`` goes on.
    """
    options = options or ScoreOptions()
    options.check(has_file=isinstance(output, Path))
    write: WriteTable | None = None
    if isinstance(output, Path):
        write = table_writer(output)
        check_folder(output)
        if options.contact_sheet:
            from dgaal_cli.scoring.contact_sheet import check_sheet  # few runs need it

            check_sheet(sheet_path(output))
    if options.features is not None:
        check_folder(options.features)
        if options.features == output:
            raise UsageError("--features and -o name one file; give them different names")
    checked = read_artifact(artifact, role="sampler")
    wish = "--features" if options.features is not None else "--diverse"
    if (options.features is not None or options.diverse) and not _has_features(checked):
        raise UsageError(f"{checked.name} gives no features; leave {wish} out")
    if isinstance(source, str):
        source = open_source(source, base=base, download=options.download)
    return ScoringRun(source, checked, output, options, emit).run(write)


def default_artifact(workspace: Workspace, engine: EngineName | None) -> Path:
    """Find the sampler that a workspace exported.

    Raises:
        UsageError: It has not exported one in that format.
    """
    wanted = (engine,) if engine else ("onnx", "torchscript")
    for name in wanted:
        path = workspace.artifacts_path / f"sampler{SUFFIXES[name]}"
        if path.is_file():
            return path
    if (workspace.artifacts_path / "manifest.json").is_file() and engine is None:
        why = why_no_sampler(_exported_method(workspace))
        raise UsageError(
            f"{why}; train and export with another method, or name an artifact with -a"
            if why
            else "the last 'dgaal export' wrote no sampler: there is none before two classes have "
            "labels; label and train, then export again, or name an artifact with -a"
        )
    missing = " or ".join(f"artifacts/sampler{SUFFIXES[name]}" for name in wanted)
    raise UsageError(
        f"{workspace.root} has no sampler yet ({missing}); "
        "write one with 'dgaal export', or name a file with -a"
    )


def _exported_method(workspace: Workspace) -> str:
    """Method of the last export; empty where its list cannot be read."""
    try:
        listed = json.loads((workspace.artifacts_path / "manifest.json").read_bytes())
        return str(listed["artifacts"][0]["manifest"]["method"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""


def trusted_by(workspace: Workspace) -> Callable[[bytes], bool]:
    """Ask a workspace's label store whether it exported an artifact itself."""

    def knows(sha256: bytes) -> bool:
        from dgaal_cli.store.open import open_store

        if not workspace.store_path.is_file():
            return False
        with open_store(workspace.store_path, read_only=True) as store:
            return store.knows_artifact(sha256)

    return knows


def _has_features(artifact: CheckedArtifact) -> bool:
    return any(output.name == "features" for output in artifact.manifest.outputs)
