"""Parts of a pool, without NumPy: a session of labeling starts fast."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """A part of a pool: images of similar confidence."""

    number: int
    """From 0; the least confident images are in stratum 0."""
    size: int
    """Number of its images."""
    share: float
    """Probability that a draw is from this stratum, 0..1."""
