"""ONNX Runtime on the CPU or one CUDA device, without torch and without log output."""

import contextlib
import io
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.artifacts.engines.base import Arrays, checked_inputs
from dgaal_cli.artifacts.engines.devices import CPU, Device, count_cuda_devices, parse_device
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.errors import ArtifactError, UsageError
from dgaal_cli.escaping import show

_runtime: Any = onnxruntime  # untyped
_FATAL = 4
_CUDA = "CUDAExecutionProvider"
_INSTALL = "python -m pip install 'dgaal[cuda]'"


class OnnxEngine:
    """A sealed ONNX artifact in an inference session."""

    def __init__(
        self, artifact: CheckedArtifact, *, device: str = "auto", threads: int = 0, calls: int = 1
    ) -> None:
        """Start a session from checked bytes.

        Args:
            artifact: Result of ``read_artifact``.
            device: ``auto`` uses CUDA if it works, otherwise the CPU, without a message.
            threads: CPU threads; 0 uses all CPUs available to the process.
            calls: Parallel calls of ``run`` on a CPU, which share its threads. Two calls with one
                thread each need a tenth less CPU time than one call with two threads, which wait
                for each other at every layer.

        Raises:
            ArtifactError: The runtime refuses the model, or the model does not match its manifest.
            UsageError: CUDA is requested and cannot be used; the message gives the reason.
        """
        onnxruntime.set_default_logger_severity(_FATAL)
        self.manifest = artifact.manifest
        threads = threads or usable_cpus()
        calls = max(1, min(calls, threads))
        self._session, self.device = _start(artifact, parse_device(device), threads // calls)
        # A GPU runs calls one after another.
        self.calls = calls if self.device == str(CPU) else 1
        self._outputs = [info.name for info in artifact.manifest.outputs]
        expected = ([info.name for info in artifact.manifest.inputs], self._outputs)
        actual = (
            [value.name for value in self._session.get_inputs()],
            [value.name for value in self._session.get_outputs()],
        )
        if expected != actual:
            raise ArtifactError(f"inputs or outputs of {artifact.name} do not match its manifest")

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        feed = checked_inputs(self.manifest, inputs)
        values = self._session.run(self._outputs, feed)
        return dict(zip(self._outputs, values, strict=True))


def _start(artifact: CheckedArtifact, device: Device, threads: int) -> tuple[Any, str]:
    if device.kind != "cpu":
        session, reason = _try_cuda(artifact, device, threads)
        if session is not None:
            return session, f"cuda:{device.index}"
        if device.kind == "cuda":
            raise UsageError(f"device {device} cannot run {artifact.name}: {reason}")
    return _session(artifact, [("CPUExecutionProvider", {})], threads), str(CPU)


def _try_cuda(artifact: CheckedArtifact, device: Device, threads: int) -> tuple[Any, str]:
    """Return a session on the device, or None and the reason."""
    if not has_cuda():
        return None, f"this onnxruntime has no CUDA; {_INSTALL}, or use --device cpu"
    count = count_cuda_devices()
    if device.index >= count:
        return None, f"the driver reports {count} CUDA devices; use --device cpu"
    printed = preload_cuda()
    options = {
        "device_id": str(device.index),
        "use_tf32": "0",  # TF32 has ten bits of precision: not enough for 1e-4
        "cudnn_conv_algo_search": "HEURISTIC",  # the default measures again for each batch size
    }
    providers: list[tuple[str, dict[str, str]]] = [(_CUDA, options), ("CPUExecutionProvider", {})]
    try:
        session = _session(artifact, providers, threads)
    except ArtifactError as error:
        return None, f"{error}; use --device cpu"
    if _CUDA not in session.get_providers():
        return None, f"CUDA libraries are missing ({printed}); {_INSTALL}, or use --device cpu"
    return session, ""


def has_cuda() -> bool:
    """Return whether this onnxruntime was built with CUDA."""
    return _CUDA in onnxruntime.get_available_providers()


def preload_cuda() -> str:
    """Load the CUDA libraries from torch's and NVIDIA's wheels; return the runtime's output.

    The output is empty unless libraries are missing.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        onnxruntime.preload_dlls()
    return show(" ".join(printed.getvalue().split())[:200])


def _session(
    artifact: CheckedArtifact, providers: list[tuple[str, dict[str, str]]], threads: int
) -> Any:
    options = _runtime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that spins while it waits would take a core from the decoder processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        # enable_fallback would print and continue with another provider.
        session = _runtime.InferenceSession(
            artifact.data, options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # the runtime raises many unrelated types
        reason = show(str(error).strip().splitlines()[0][:200] if str(error).strip() else "?")
        raise ArtifactError(
            f"{artifact.name} is intact, but onnxruntime {onnxruntime.__version__} "
            f"cannot run it: {reason}"
        ) from error
    session.disable_fallback()
    return session
