"""Export a module to TorchScript: scripted if possible, else traced, then frozen.

TorchScript is deprecated since PyTorch 2.11 and still works. Only this file and one engine use it.
"""

import copy
import io
from typing import Any

import torch

from exporters.chatter import ExportError, contained
from exporters.embedded import embed
from exporters.spec import ExportSpec


def export(module: torch.nn.Module, spec: ExportSpec) -> bytes:
    """Return an unsealed TorchScript file that contains the manifest.

    The module is not changed: a copy on the CPU in evaluation mode is exported.

    Raises:
        ExportError: The module can neither be scripted nor traced.
    """
    frozen_copy = copy.deepcopy(module).to("cpu").eval().requires_grad_(requires_grad=False)
    with contained():
        script = _scripted(frozen_copy, spec)
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.freeze(script), buffer)
    return embed(buffer.getvalue(), spec.manifest, "torchscript")


def _scripted(module: torch.nn.Module, spec: ExportSpec) -> torch.jit.ScriptModule:
    try:
        return _as_script(torch.jit.script(module))
    except Exception:  # noqa: BLE001 - tracing may work for any code that cannot be scripted
        # A trace is valid for the branches that one batch took; the parity check tests other sizes.
        example = tuple(torch.from_numpy(array) for array in spec.example(2).values())
        try:
            return _as_script(torch.jit.trace(module, example, check_trace=False))
        except Exception as error:
            raise ExportError(
                f"TorchScript can neither script nor trace {type(module).__name__}: {error}"
            ) from error


def _as_script(compiled: Any) -> torch.jit.ScriptModule:
    if not isinstance(compiled, torch.jit.ScriptModule):
        raise TypeError(f"{type(compiled).__name__} is not a script module")
    return compiled
