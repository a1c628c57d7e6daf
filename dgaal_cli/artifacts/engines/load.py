"""Start an engine from bytes, after checks of seal, manifest, role and trust."""

from collections.abc import Callable
from importlib import import_module

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact, check_artifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.errors import MissingExtraError, TrustError

ENGINES = {
    "onnx": "dgaal_cli.artifacts.engines.onnx_runtime:OnnxEngine",
    "torchscript": "dgaal_cli.artifacts.engines.torchscript:TorchScriptEngine",
}

IsTrusted = Callable[[bytes], bool] | bool
"""Whether TorchScript with this SHA-256 may run: decided by the store, or by the user."""


def load_engine_bytes(
    data: bytes,
    *,
    format: str,  # noqa: A002 - the term in the user interface
    role: str | None = None,
    device: str = "auto",
    threads: int = 0,
    is_trusted: IsTrusted = False,
) -> Engine:
    """Check bytes and start the engine of their format; see ``start_engine``.

    Raises:
        ArtifactError: The bytes are damaged, foreign, of a later version or another role; no
            runtime was imported.
    """
    artifact = check_artifact(data, format_=format, role=role)
    return start_engine(artifact, device=device, threads=threads, is_trusted=is_trusted)


def start_engine(
    artifact: CheckedArtifact,
    *,
    device: str = "auto",
    threads: int = 0,
    calls: int = 1,
    is_trusted: IsTrusted = False,
) -> Engine:
    """Start the engine of a checked artifact.

    Args:
        artifact: Result of ``read_artifact``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads; 0 uses all CPUs available to the process.
        calls: Requested number of parallel calls of ``Engine.run``; ``Engine.calls`` is the number
            that the engine supports.
        is_trusted: Used only for TorchScript, which is code.

    Raises:
        UsageError: The device is not available.
        ArtifactError: The runtime refuses the model.
        TrustError: The artifact is TorchScript and not trusted.
    """
    if artifact.format == "torchscript":
        _require_trust(artifact, is_trusted)
    module, name = ENGINES[artifact.format].split(":")
    try:
        engine = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(f"running {artifact.name}", "train", "torch") from error
    return engine(artifact, device=device, threads=threads, calls=calls)


def _require_trust(artifact: CheckedArtifact, is_trusted: IsTrusted) -> None:
    trusted = is_trusted(artifact.sha256) if callable(is_trusted) else is_trusted
    if not trusted:
        raise TrustError(
            f"{artifact.name} is TorchScript, which is code, and this workspace did not export "
            "it; use the .onnx file, or add --trust-torchscript if you trust its author"
        )
