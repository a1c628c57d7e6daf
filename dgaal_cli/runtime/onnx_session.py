"""Inference sessions of ONNX Runtime on the CPU or one CUDA device, without log output."""

import contextlib
import io
from dataclasses import dataclass, field
from typing import Any

import onnxruntime

from dgaal_cli.errors import ArtifactError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.runtime.devices import CPU, Device, count_cuda_devices

_runtime: Any = onnxruntime  # untyped
_FATAL = 4
_CUDA = "CUDAExecutionProvider"
_INSTALL = "python -m pip install 'dgaal[cuda]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """Bytes of a checked model."""

    name: str
    """For messages."""
    data: bytes = field(repr=False)


def start_session(model: OnnxModel, device: Device, threads: int) -> tuple[Any, str]:
    """Start a session.

    Args:
        model: A model that was checked: see ``exporters.onnx_wire.refuse_dependencies``.
        device: ``auto`` uses CUDA if it works, otherwise the CPU, without a message.
        threads: CPU threads, 1 or more.

    Returns:
        The ``InferenceSession``, and ``"cpu"`` or ``"cuda:N"``.

    Raises:
        ArtifactError: The runtime refuses the model.
        UsageError: CUDA is requested and cannot be used; the message gives the reason.
    """
    onnxruntime.set_default_logger_severity(_FATAL)
    if device.kind != "cpu":
        session, reason = _try_cuda(model, device, threads)
        if session is not None:
            return session, f"cuda:{device.index}"
        if device.kind == "cuda":
            raise UsageError(f"device {device} cannot run {model.name}: {reason}")
    return _session(model, [("CPUExecutionProvider", {})], threads), str(CPU)


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


def _try_cuda(model: OnnxModel, device: Device, threads: int) -> tuple[Any, str]:
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
        session = _session(model, providers, threads)
    except ArtifactError as error:
        return None, f"{error}; use --device cpu"
    if _CUDA not in session.get_providers():
        return None, f"CUDA libraries are missing ({printed}); {_INSTALL}, or use --device cpu"
    return session, ""


def _session(model: OnnxModel, providers: list[tuple[str, dict[str, str]]], threads: int) -> Any:
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
            model.data, options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # the runtime raises many unrelated types
        reason = show(str(error).strip().splitlines()[0][:200] if str(error).strip() else "?")
        raise ArtifactError(
            f"onnxruntime {onnxruntime.__version__} cannot run {model.name}: {reason}"
        ) from error
    session.disable_fallback()
    return session
