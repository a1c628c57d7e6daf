"""Score images offline with an exported sampler: no workspace and, for ONNX, no torch needed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit, ignore
from dgaal_cli.methods.registry import why_no_sampler
from dgaal_cli.scoring.features import check_folder
from dgaal_cli.scoring.options import ScoreOptions, ScoreResult, sheet_path
from dgaal_cli.scoring.run import ScoringRun
from dgaal_cli.scoring.writers import table_writer
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
    """Score every image of a source and rank the images; the highest score is asked first.

    Args:
        source: SOURCE text, or an open source.
        artifact: An exported sampler, ``.onnx`` or ``.ts``.
        base: Folder that a relative SOURCE is relative to.
        output: Table to write, ``.csv``, ``.jsonl`` or ``.parquet``; a stream gets CSV; None
            returns the rows.
        options: How to score.
        emit: Listener for progress.

    Raises:
        UsageError: A source, file or option cannot be used.
        ArtifactError: The artifact is damaged, foreign or not a sampler.
        TrustError: A TorchScript file is not trusted.
        StorageError: A result cannot be written.
        InterruptedRunError: A signal stopped the run; ``resume`` continues a table.
    """
    options = options or ScoreOptions()
    options.check(has_file=isinstance(output, Path))
    if isinstance(output, Path):
        table_writer(output)
        check_folder(output)
        if options.contact_sheet:
            from dgaal_cli.scoring.contact_sheet import check_sheet

            check_sheet(sheet_path(output))
    if options.features is not None:
        check_folder(options.features)
        if options.features == output:
            raise UsageError("--features and -o name the same file; use different names")
    checked = read_artifact(artifact, role="sampler")
    has_features = any(each.name == "features" for each in checked.manifest.outputs)
    if (options.features is not None or options.diverse) and not has_features:
        option = "--features" if options.features is not None else "--diverse"
        raise UsageError(f"{checked.name} has no features output; leave {option} out")
    if isinstance(source, str):
        source = open_source(source, base=base, download=options.download)
    return ScoringRun(source, checked, output, options, emit).run()


def default_artifact(workspace: Workspace, engine: EngineName | None) -> Path:
    """Find the sampler that a workspace exported.

    Raises:
        UsageError: The workspace has no sampler in that format.
    """
    names = (engine,) if engine else ("onnx", "torchscript")
    for name in names:
        path = workspace.artifacts_path / f"sampler{SUFFIXES[name]}"
        if path.is_file():
            return path
    if (workspace.artifacts_path / "manifest.json").is_file() and engine is None:
        why = why_no_sampler(_exported_method(workspace))
        raise UsageError(
            f"{why}; train and export with another method, or name an artifact with -a"
            if why
            else "the last 'dgaal export' wrote no sampler: it needs labels of two classes; "
            "label and train, then export again, or name an artifact with -a"
        )
    missing = " or ".join(f"artifacts/sampler{SUFFIXES[name]}" for name in names)
    raise UsageError(
        f"{workspace.root} has no sampler yet ({missing}); "
        "write one with 'dgaal export', or name a file with -a"
    )


def _exported_method(workspace: Workspace) -> str:
    """Return the method of the last export; empty if its list cannot be read."""
    try:
        listed = json.loads((workspace.artifacts_path / "manifest.json").read_bytes())
        return str(listed["artifacts"][0]["manifest"]["method"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""


def trusted_by(workspace: Workspace) -> Callable[[bytes], bool]:
    """Return a function that checks whether the workspace exported an artifact (by SHA-256)."""

    def is_known(sha256: bytes) -> bool:
        from dgaal_cli.store.open import store_location

        location = store_location(workspace)
        if not location.exists():
            return False
        with location.open(read_only=True) as store:
            return store.knows_artifact(sha256)

    return is_known
