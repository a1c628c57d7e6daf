"""Counter-based randomness.

Every draw of step ``s`` in a phase uses a generator seeded with (seed, round, phase, s). A training
that resumes at step ``s`` therefore draws the same numbers as an uninterrupted one, and a
checkpoint needs no generator state.
"""

from collections.abc import Generator as Iterator
from contextlib import contextmanager

import torch
from torch import Generator

from dgaal_cli.training.seeds import seed_of


def torch_generator(*parts: int | str) -> Generator:
    """Return a CPU generator for these parts."""
    return Generator().manual_seed(seed_of(*parts))


@contextmanager
def initializing(*parts: int | str) -> Iterator[None]:
    """Initialize modules inside the block from these parts; restore the global generator.

    PyTorch's initializers read the global generator.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(*parts))
        yield


@contextmanager
def drawing_from(generator: Generator, device: torch.device) -> Iterator[None]:
    """Seed layers that read the global generator, such as dropout, from ``generator``.

    The global generators of CPU and device are restored.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
