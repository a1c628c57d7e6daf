"""Start an engine from a path or bytes, after checks of seal, manifest, role and trust."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact, check_artifact, read_artifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.errors import MissingExtraError, TrustError

ENGINES = {
    "onnx": "dgaal_cli.artifacts.engines.onnx_runtime:OnnxEngine",
    "torchscript": "dgaal_cli.artifacts.engines.torchscript:TorchScriptEngine",
}

IsTrusted = Callable[[bytes], bool] | bool
"""Whether TorchScript with this SHA-256 may run: decided by the store, or by the user."""


def load_engine(
    path: Path,
    *,
    role: str | None = None,
    device: str = "auto",
    threads: int = 0,
    is_trusted: IsTrusted = False,
) -> Engine:
    """Check a file and start the engine of its format.

    Args:
        path: An exported ``.onnx`` or ``.ts`` file.
        role: Required role; None accepts any.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads; 0 uses all CPUs available to the process.
        is_trusted: Used only for TorchScript, which is code.

    Raises:
        UsageError: The file does not exist, or the device is not available.
        ArtifactError: The file is damaged, foreign, of a later version or another role; no runtime
            was imported.
        TrustError: The file is TorchScript and not trusted.
    """
    artifact = read_artifact(path, role=role)
    return start_engine(artifact, device=device, threads=threads, is_trusted=is_trusted)


def load_engine_bytes(
    data: bytes,
    *,
    format: str,  # noqa: A002 - the term in the user interface
    role: str | None = None,
    device: str = "auto",
    threads: int = 0,
    is_trusted: IsTrusted = False,
) -> Engine:
    """Check bytes and start the engine of their format; see ``load_engine``."""
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
    """Start the engine of checked bytes; see ``load_engine``.

    ``calls`` is the requested number of parallel calls of ``Engine.run``; ``Engine.calls`` is the
    number that the engine supports.
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
