"""Write the artifacts of a workspace: sampler, generator and classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dgaal_cli.artifacts.folder import WrittenArtifact, write_artifacts
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit, ignore
from dgaal_cli.methods.registry import scores_by_networks
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """Folder and artifacts that an export wrote."""

    folder: Path
    artifacts: tuple[WrittenArtifact, ...]


def export(
    workspace: Workspace,
    config: Config,
    *,
    formats: Sequence[str],
    is_quantized: bool = False,
    output: Path | None = None,
    device: str = "auto",
    listener: Emit = ignore,
) -> ExportResult:
    """Write the artifacts of the last trained round, or of the labels on features.

    With a pretrained encoder the task model is fitted to the labels, and encoder, task model and
    sampler become ONNX files without torch or a training, unless the score needs networks.

    Args:
        workspace: Workspace to export from.
        config: Configuration of the training.
        formats: Names of ``exporters.registry.FORMATS``; on features only "onnx".
        is_quantized: Also write an int8 sampler, calibrated on the pool; not on features.
        output: Folder to write; None uses the workspace's ``artifacts``.
        device: Device that runs the exported files for the comparison.
        listener: Receives ``ArtifactWritten``.

    Raises:
        UsageError: Nothing is trained, there is nothing to export, or a format or int8 is
            requested that cannot be written.
        CheckFailedError: An exported file does not compute the same values as the network.
        BusyError: Another process trains in this workspace.
    """
    with workspace.lock("train", doing="exporting"), open_store(workspace) as store:
        if config.encoder.source == "pixels":
            from dgaal_cli.api.export_networks import network_jobs

            jobs, number = network_jobs(
                workspace, config, store, is_quantized=is_quantized, emit=listener
            )
        else:
            from dgaal_cli.rounds.feature_export import feature_jobs

            if is_quantized:
                raise UsageError(
                    "--int8 is for networks on pixels; leave it out, or export an int8 encoder "
                    "with 'dgaal encoders export --int8' and use that file as the encoder"
                )
            if "torchscript" in formats:
                raise UsageError(
                    "TorchScript was requested, but a file with an encoder is written as ONNX "
                    "only; use --onnx"
                )
            if scores_by_networks(config):
                from dgaal_cli.api.export_networks import network_score

                trained = partial(network_score, workspace, config, store, emit=listener)
            else:
                trained = None
            jobs, number = feature_jobs(
                workspace, config, store, emit=listener, network_score=trained
            )
        folder = output or workspace.artifacts_path
        written = write_artifacts(
            jobs,
            formats=formats,
            folder=folder,
            record_artifact=lambda digest, role, name: store.record_artifact(
                digest, role, name, number
            ),
            is_quantized=is_quantized,
            listener=listener,
            device=device,
        )
    return ExportResult(folder=folder, artifacts=tuple(written))
