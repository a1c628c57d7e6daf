"""Engine for a PyTorch module that is not exported: the reference for parity."""

import copy
from typing import Any

import torch
from numpy.typing import NDArray

from dgaal_cli.artifacts.engines.base import Arrays, checked_inputs, named_outputs, writable
from exporters.manifest import Manifest


class EagerEngine:
    """A copy of a module on the CPU, in evaluation mode; the original is not changed."""

    def __init__(self, module: torch.nn.Module, manifest: Manifest) -> None:
        self._module = copy.deepcopy(module).to("cpu").eval()
        self.manifest = manifest
        self.device = "cpu"  # the reference must not depend on a GPU's rounding
        self.calls = 1

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        arrays = checked_inputs(self.manifest, inputs)
        with torch.inference_mode():
            outputs: Any = self._module(
                *(torch.from_numpy(writable(array)) for array in arrays.values())
            )
        named = named_outputs(self.manifest, outputs)
        return {name: value.numpy() for name, value in named.items()}
