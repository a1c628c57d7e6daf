"""ONNX Runtime, on the CPU or one CUDA device, without torch and without chatter."""

import contextlib
import io
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.artifacts.engines.base import Arrays, checked_inputs
from dgaal_cli.artifacts.engines.devices import (
    CPU,
    Device,
    count_cuda_devices,
    parse_device,
    usable_cpus,
)
from dgaal_cli.errors import ArtifactError, UsageError
from dgaal_cli.escaping import show
from exporters.manifest import Manifest

_runtime: Any = onnxruntime  # untyped
_FATAL = 4
_CUDA = "CUDAExecutionProvider"
_INSTALL = "python -m pip install 'dgaal[cuda]'"


class OnnxEngine:
    """A sealed ONNX artifact in an inference session."""

    def __init__(
        self,
        artifact: CheckedArtifact,
        *,
        device: str = "auto",
        threads: int = 0,
        calls: int = 1,
    ) -> None:
        """Start a session from checked bytes.

        Args:
            artifact: What ``read_artifact`` returned.
            device: ``auto`` takes CUDA where it works and the CPU elsewhere, silently.
            threads: CPU threads; 0 takes what the process may use.
            calls: Calls of ``run`` that will go side by side on a CPU and share its threads. Two
                calls of one thread each take a tenth less of the CPU than one call of two threads,
                which wait for one another at every layer.

        Raises:
            ArtifactError: The runtime refuses the model, or it is not what its manifest says.
            UsageError: CUDA was asked for and cannot be used; the message says why.
        """
        onnxruntime.set_default_logger_severity(_FATAL)
        self._manifest = artifact.manifest
        threads = threads or usable_cpus()
        calls = max(1, min(calls, threads))
        self._session, self._device = _start(artifact, parse_device(device), threads // calls)
        self._calls = calls if self._device == str(CPU) else 1
        self._outputs = [info.name for info in artifact.manifest.outputs]
        promised = ([info.name for info in artifact.manifest.inputs], self._outputs)
        found = (
            [value.name for value in self._session.get_inputs()],
            [value.name for value in self._session.get_outputs()],
        )
        if promised != found:
            raise ArtifactError(f"{artifact.name} has other inputs or outputs than it says")

    @property
    def manifest(self) -> Manifest:
        """What the artifact says of itself."""
        return self._manifest

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda:N"``."""
        return self._device

    @property
    def calls(self) -> int:
        """As asked on the CPU; one on a GPU, which orders them anyway."""
        return self._calls

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        feed = checked_inputs(self._manifest, inputs)
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
    """Return a session on the device, or None and why there is none."""
    if not has_cuda():
        return None, f"this onnxruntime has no CUDA; {_INSTALL}, or use --device cpu"
    present = count_cuda_devices()
    if device.index >= present:
        return None, f"the driver shows {present} CUDA devices; use --device cpu"
    printed = preload_cuda()
    options = {
        "device_id": str(device.index),
        "use_tf32": "0",  # TF32 keeps ten bits of a product: not enough for 1e-4
        "cudnn_conv_algo_search": "HEURISTIC",  # the default re-measures at each new batch size
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
    """Tell whether this onnxruntime was built with CUDA."""
    return _CUDA in onnxruntime.get_available_providers()


def preload_cuda() -> str:
    """Find the CUDA libraries in torch's and NVIDIA's wheels; return what the runtime says of it.

    It speaks only of what it misses.
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
    # Decoding runs beside inference; a thread that spins while it waits takes a core from it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        # enable_fallback would print and silently go on with another provider.
        session = _runtime.InferenceSession(
            artifact.data, options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # the runtime raises a dozen unrelated types
        reason = show(str(error).strip().splitlines()[0][:200] if str(error).strip() else "?")
        raise ArtifactError(
            f"{artifact.name} is whole, but onnxruntime {onnxruntime.__version__} "
            f"cannot run it: {reason}"
        ) from error
    session.disable_fallback()
    return session
