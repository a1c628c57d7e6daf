"""Where randomness comes from: counters, not state.

Every draw of step ``s`` in a phase comes from a generator seeded with (seed, round, phase, s). A
training that goes on at step ``s`` therefore draws what the uninterrupted one would have drawn, and
a checkpoint needs no generator state.
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
    """Initialize modules inside the block from these parts; the global generator is put back.

    PyTorch's initializers read the global generator, so this is the one place that sets it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(*parts))
        yield


@contextmanager
def drawing_from(generator: Generator, device: torch.device) -> Iterator[None]:
    """Let layers that read the global generator, as dropout does, draw from ``generator`` instead.

    The global generators, the device's too, are put back.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
