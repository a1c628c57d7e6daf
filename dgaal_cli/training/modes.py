"""Evaluation: modules in eval mode inside a block, inputs in batches."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import Inputs

INFERENCE_BATCH = 512


@contextmanager
def evaluating(*modules: nn.Module) -> Generator[None]:
    """Run the block with ``modules`` in eval mode and without gradients; restore their modes."""
    before = [{m: m.training for m in module.modules()} for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for modes in before:
            for module, was_training in modes.items():
                module.training = was_training


def batches(inputs: Inputs, device: torch.device) -> Iterator[Tensor]:
    """Yield N images' normalized pixels or features in batches, at least one, in order."""
    for start in range(0, max(1, len(inputs)), INFERENCE_BATCH):
        # A copy: memory-mapped pools are read-only.
        chunk = np.array(inputs[start : start + INFERENCE_BATCH])
        yield normalize(torch.from_numpy(chunk).to(device))


def encode_rows(encode: Callable[[Tensor], Tensor], inputs: Inputs, device: torch.device) -> Tensor:
    """Apply ``encode`` to the inputs of N images in batches and stack what it returns."""
    return torch.cat([encode(x) for x in batches(inputs, device)])
