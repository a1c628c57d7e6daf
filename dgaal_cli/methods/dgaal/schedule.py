"""Change generation with the number of labels: wider noise, more copies of rare classes."""

import numpy as np

from dgaal_cli.config.schema import GenerationConfig

MAX_MULTIPLE = 3
"""A parent gets at most this many times ``per_parent`` copies, however rare its class is."""


def noise_at(config: GenerationConfig, progress: float) -> float:
    """Return the half width of the noise factor: ``noise`` at first, ``last_noise`` at the end.

    Early copies stay near their parents; later ones may differ more, because T can then detect
    copies whose inherited label is doubtful. ``progress`` is the part of the labeling that is done.
    """
    if not config.is_progressive:
        return config.noise
    return config.noise + progress * (config.last_noise - config.noise)


def copies_per_parent(
    parents: np.ndarray, known: np.ndarray, config: GenerationConfig
) -> np.ndarray:
    """Distribute ``per_parent`` copies per parent by inverse class frequency, if ``is_balanced``.

    The frequency is that of ``known``, labels and pseudo-labels of the pool, int64 ``(M,)``.

    Returns:
        int64 ``(P,)`` copies of each parent, whose classes are int64 ``(P,)``; they sum to at most
        ``P * per_parent``.
    """
    even = np.full(len(parents), config.per_parent, dtype=np.int64)
    if not config.is_balanced or not len(parents) or not config.per_parent:
        return even
    frequency = np.bincount(known, minlength=int(parents.max()) + 1)[parents]
    weight = 1.0 / np.maximum(frequency, 1)
    total = int(even.sum())
    shares = np.minimum(weight / weight.sum() * total, MAX_MULTIPLE * config.per_parent)
    copies = np.floor(shares).astype(np.int64)
    left = round(float(shares.sum())) - int(copies.sum())
    order = np.argsort(-(shares - copies), kind="stable")
    copies[order[:left]] += 1
    return np.minimum(copies, MAX_MULTIPLE * config.per_parent)
