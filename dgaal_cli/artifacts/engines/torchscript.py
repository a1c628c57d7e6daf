"""TorchScript, deprecated since PyTorch 2.11; only this file and its exporter use it.

A TorchScript file is code. ``start_engine`` starts this engine only for trusted bytes.
"""

import io
import warnings
from typing import Any

import torch
from numpy.typing import NDArray

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.artifacts.engines.base import Arrays, checked_inputs, named_outputs, writable
from dgaal_cli.errors import ArtifactError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.runtime.devices import CPU, Device, parse_device

_jit: Any = torch.jit  # partly untyped


class TorchScriptEngine:
    """A sealed and trusted TorchScript artifact."""

    def __init__(
        self,
        artifact: CheckedArtifact,
        *,
        device: str = "auto",
        threads: int = 0,
        calls: int = 1,  # noqa: ARG002 - other engines can use more
    ) -> None:
        """Load checked and trusted bytes.

        Args:
            artifact: Result of ``read_artifact``; it must be trusted.
            device: ``auto`` uses CUDA if torch finds it, otherwise the CPU, without a message.
            threads: CPU threads of the whole process; 0 keeps torch's setting.
            calls: Not used: torch's threads share the work of each call.

        Raises:
            ArtifactError: torch cannot load the artifact.
            UsageError: CUDA is requested and torch does not find the device.
        """
        self.manifest = artifact.manifest
        self.device = str(_choose(parse_device(device), artifact.name))
        self.calls = 1  # torch's threads share the work of each call
        if threads:
            torch.set_num_threads(threads)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecation; 'dgaal export' explains it
                module = _jit.load(io.BytesIO(artifact.data), map_location="cpu")
                self._module = module.to(self.device)
        except Exception as error:  # the loader raises unrelated types
            reason = show(str(error).strip().splitlines()[0][:200] if str(error).strip() else "?")
            raise ArtifactError(
                f"{artifact.name} is intact, but torch {torch.__version__} cannot load it: {reason}"
            ) from error

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        arrays = checked_inputs(self.manifest, inputs)
        tensors = [torch.from_numpy(writable(array)).to(self.device) for array in arrays.values()]
        # Convolutions use TF32 by default on recent GPUs, which is too imprecise for scores.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            outputs = named_outputs(self.manifest, self._module(*tensors))
        return {name: value.cpu().numpy() for name, value in outputs.items()}


def _choose(device: Device, name: str) -> Device:
    if device.kind == "cpu":
        return CPU
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.index < count:
        return Device("cuda", device.index)
    if device.kind == "cuda":
        raise UsageError(
            f"device {device} cannot run {name}: torch finds {count} CUDA devices; use --device cpu"
        )
    return CPU
