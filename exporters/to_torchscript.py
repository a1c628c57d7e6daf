"""Module -> TorchScript: scripted where the code allows, traced where not, then frozen.

TorchScript is deprecated since PyTorch 2.11 and still works; this file and one engine contain it.
"""

import copy
import io
from typing import Any

import torch

from exporters.chatter import ExportError, contained
from exporters.embedded import embed
from exporters.spec import ExportSpec


def export(module: torch.nn.Module, spec: ExportSpec) -> bytes:
    """Return an unsealed TorchScript file with the spec's manifest in it.

    The module itself is left as it is: a copy on the CPU in evaluation mode is exported.

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
    except Exception:  # noqa: BLE001 - whatever the compiler dislikes, tracing may take
        # A trace holds for the branches that one batch took; parity at other sizes is the proof.
        example = tuple(torch.from_numpy(array) for array in spec.example(2).values())
        try:
            return _as_script(torch.jit.trace(module, example, check_trace=False))
        except Exception as error:
            raise ExportError(
                f"TorchScript can neither script nor trace {type(module).__name__}: {error}"
            ) from error


def _as_script(compiled: Any) -> torch.jit.ScriptModule:
    if not isinstance(compiled, torch.jit.ScriptModule):
        raise TypeError(f"{type(compiled).__name__} is no script module")
    return compiled
