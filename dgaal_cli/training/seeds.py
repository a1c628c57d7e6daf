"""Seeds of counter-based randomness, and generators of NumPy; no torch, since queries use them."""

import hashlib

import numpy as np


def seed_of(*parts: int | str) -> int:
    """Mix parts into a 63-bit seed; stable across processes, platforms and versions."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """Return a NumPy generator for these parts."""
    return np.random.default_rng(seed_of(*parts))
