"""Counter-based randomness.

Every draw of step ``s`` in a phase uses a generator seeded with (seed, round, phase, s). A training
that resumes at step ``s`` therefore draws the same numbers as an uninterrupted one, and a
checkpoint needs no generator state.
"""

import hashlib
from collections.abc import Generator as Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Generator


def seed_of(*parts: int | str) -> int:
    """Mix parts into a 63-bit seed; stable across processes, platforms and versions."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def torch_generator(*parts: int | str) -> Generator:
    """Return a CPU generator for these parts."""
    return Generator().manual_seed(seed_of(*parts))


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """Return a NumPy generator for these parts."""
    return np.random.default_rng(seed_of(*parts))


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
